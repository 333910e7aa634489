/**
 * Random histories of a VPC for property tests, and the rule of visibility by which they are compiled: an allowing rule
 * of either side lets some packet pass between two devices (docs of nexodus.event.v1.SecurityGroupImage, cut down to
 * rules that name groups).
 */
import {
  type DeviceImage,
  ResourceImage,
  type ResourceChange,
  type VpcChange,
  type VpcSnapshot,
} from '@nexodus/contracts/event';
import type { VisiblePair } from '@nexodus/contracts/policy';
import { pairKey, pairOf, type PolicyAnswer } from './visibility.ts';

export const vpcId = 'vpc';
export const logIncarnation = 'log';

/** What happens to a VPC, by the number of a device. */
export type Step =
  | { kind: 'put'; device: number; group: number; serial: number }
  | { kind: 'delete'; device: number }
  | { kind: 'expire-at'; device: number; atSeconds: number };

/** What the model knows: the devices at each revision. */
export class VpcModel {
  readonly changes: VpcChange[] = [];
  readonly #states: ReadonlyMap<string, DeviceImage>[] = [new Map()];

  get head(): bigint {
    return BigInt(this.changes.length);
  }

  devicesAt(revision: bigint): ReadonlyMap<string, DeviceImage> {
    return this.#states[Number(revision)] ?? new Map();
  }

  /** Appends the change that a step makes; undefined for a step that changes nothing. */
  append(step: Step): VpcChange | undefined {
    const devices = new Map(this.devicesAt(this.head));
    const id = deviceIdOf(step.device);
    const before = devices.get(id);
    const after = imageAfter(id, before, step);
    if (before === undefined && after === undefined) return undefined;
    if (after === undefined) devices.delete(id);
    else devices.set(id, after);
    const changes: ResourceChange[] = [{ before: asResource(before), after: asResource(after) }];
    const change = { vpcId, revision: this.head + 1n, changes };
    this.changes.push(change);
    this.#states.push(devices);
    return change;
  }

  snapshotAt(revision: bigint): VpcSnapshot {
    const vpc = ResourceImage.fromPartial({
      resource: { $case: 'vpc', value: { id: vpcId, organizationId: 'o', name: 'default' } },
    });
    const devices = [...this.devicesAt(revision).values()].flatMap(
      (image) => asResource(image) ?? [],
    );
    return { vpcId, logIncarnation, revision, resources: [vpc, ...devices] };
  }

  /** What policy answers for (from, to]; a whole answer from 0. */
  compile(from: bigint, to: bigint): PolicyAnswer {
    const after = this.#pairsAt(to);
    if (from === 0n) return { kind: 'whole', shown: [...after.values()] };
    const before = this.#pairsAt(from);
    return {
      kind: 'difference',
      shown: [...after].filter(([key]) => !before.has(key)).map(([, pair]) => pair),
      hidden: [...before].filter(([key]) => !after.has(key)).map(([, pair]) => pair),
    };
  }

  #pairsAt(revision: bigint): Map<string, VisiblePair> {
    const devices = [...this.devicesAt(revision).values()];
    const pairs = new Map<string, VisiblePair>();
    for (const one of devices) {
      for (const other of devices) {
        if (one.id >= other.id || !isAllowed(one, other)) continue;
        const pair = pairOf(one.id, other.id);
        pairs.set(pairKey(pair), pair);
      }
    }
    return pairs;
  }
}

/** Whether two devices see each other: here, when they share a group. */
export function isAllowed(left: DeviceImage, right: DeviceImage): boolean {
  return left.securityGroupIds.some((id) => right.securityGroupIds.includes(id));
}

export function deviceIdOf(device: number): string {
  return `device-${device}`;
}

/** Far enough away that nothing expires unless a step says so. */
const FOREVER_SECONDS = 4_000_000_000n;

function imageAfter(
  id: string,
  before: DeviceImage | undefined,
  step: Step,
): DeviceImage | undefined {
  if (step.kind === 'delete') return undefined;
  if (step.kind === 'expire-at') {
    return before && { ...before, expireTimeSeconds: BigInt(step.atSeconds) };
  }
  const binding = {
    deviceId: id,
    vpcId,
    wireguardPublicKey: Buffer.alloc(32, step.serial),
    discoPublicKey: Buffer.alloc(32, step.serial),
    serial: BigInt(step.serial),
    notAfter: 4_000_000_000n,
    signature: Buffer.alloc(64),
  };
  return {
    id,
    hostname: id,
    devicePublicKey: Buffer.alloc(32, 1),
    binding: step.serial === 0 ? undefined : binding,
    ipv4Address: '100.64.0.1',
    ipv6Address: 'fd00::1',
    securityGroupIds: [`group-${step.group}`, ...(step.group === 0 ? ['group-1'] : [])],
    expireTimeSeconds: FOREVER_SECONDS,
  };
}

function asResource(image: DeviceImage | undefined): ResourceImage | undefined {
  return image && ResourceImage.fromPartial({ resource: { $case: 'device', value: image } });
}
