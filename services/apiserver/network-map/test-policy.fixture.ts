import type {
  ChangeServiceDefinition,
  DeviceImage,
  SecurityGroupImage,
  SecurityRule,
  WatchVpcsResponse,
} from '@nexodus/contracts/event';
import type {
  CompileResponse,
  PolicyServiceDefinition,
  VisiblePair,
} from '@nexodus/contracts/policy';
import { failedPrecondition, type RpcClient, unavailable } from '@nexodus/rpc';
import { pairKey, pairOf } from '../core/network-map/visibility.ts';

interface VpcState {
  readonly revision: bigint;
  readonly devices: ReadonlyMap<string, DeviceImage>;
  readonly groups: ReadonlyMap<string, SecurityGroupImage>;
}

interface Followed {
  readonly logIncarnation: string;
  readonly states: Map<bigint, VpcState>;
  head: bigint;
}

/**
 * A compiler for tests of the network map: it follows the change logs as the policy service does, keeps every revision,
 * and answers by the rule of the proto comment: two devices see each other when some rule of theirs lets some packet
 * pass in some direction.
 */
export class TestPolicy {
  /** Refuses to answer while true. */
  isDown = false;
  /** Forgets everything before the head, so that intervals are compacted. */
  isForgetful = false;
  /** Every event it was told. */
  readonly events: WatchVpcsResponse[] = [];
  readonly #followed = new Map<string, Followed>();
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(client: RpcClient<typeof ChangeServiceDefinition>) {
    this.#running = this.#follow(client);
  }

  get vpcIds(): string[] {
    return [...this.#followed.keys()];
  }

  headOf(vpcId: string): bigint | undefined {
    return this.#followed.get(vpcId)?.head;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  readonly compile: RpcClient<typeof PolicyServiceDefinition>['compile'] = (request) =>
    this.#answer(request);

  async *#answer(request: Parameters<TestPolicy['compile']>[0]): AsyncGenerator<CompileResponse> {
    const { vpcId = '', logIncarnation } = request;
    const from = BigInt(request.from ?? 0n);
    const to = BigInt(request.to ?? 0n);
    const vpc = this.#followed.get(vpcId);
    if (this.isDown || vpc === undefined || vpc.head < to) {
      throw unavailable('not there yet');
    }
    const before = vpc.states.get(from);
    const after = vpc.states.get(to);
    const isKept = from === 0n || before !== undefined;
    if (!isKept || after === undefined || vpc.logIncarnation !== logIncarnation) {
      throw failedPrecondition('INTERVAL_COMPACTED', 'ask with from 0');
    }
    yield differenceOf(from === 0n ? undefined : before, after);
  }

  async #follow(client: RpcClient<typeof ChangeServiceDefinition>): Promise<void> {
    const { signal } = this.#stopping;
    try {
      for await (const event of client.watchVpcs({}, { signal })) this.#take(event);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #take(response: WatchVpcsResponse): void {
    this.events.push(response);
    const { event } = response;
    if (event?.$case === 'removed') this.#followed.delete(event.value.vpcId);
    if (event?.$case === 'snapshot') {
      const { vpcId, revision, logIncarnation, resources } = event.value;
      const state = { revision, devices: new Map(), groups: new Map() };
      for (const { resource } of resources) {
        if (resource?.$case === 'device') state.devices.set(resource.value.id, resource.value);
        if (resource?.$case === 'securityGroup')
          state.groups.set(resource.value.id, resource.value);
      }
      const states = new Map([[revision, state]]);
      this.#followed.set(vpcId, { logIncarnation, states, head: revision });
    }
    if (event?.$case !== 'change') return;
    const { vpcId, revision, changes } = event.value;
    const vpc = this.#followed.get(vpcId);
    const last = vpc?.states.get(vpc.head);
    if (vpc === undefined || last === undefined || revision !== vpc.head + 1n) {
      throw new Error(`a gap before revision ${revision}`);
    }
    const devices = new Map(last.devices);
    const groups = new Map(last.groups);
    for (const { before, after } of changes) {
      const resource = after?.resource ?? before?.resource;
      if (resource?.$case === 'device') {
        if (after === undefined) devices.delete(resource.value.id);
        else devices.set(resource.value.id, resource.value);
      }
      if (resource?.$case === 'securityGroup') {
        if (after === undefined) groups.delete(resource.value.id);
        else groups.set(resource.value.id, resource.value);
      }
    }
    if (this.isForgetful) vpc.states.clear();
    vpc.states.set(revision, { revision, devices, groups });
    vpc.head = revision;
  }
}

function differenceOf(before: VpcState | undefined, after: VpcState): CompileResponse {
  const old = before === undefined ? new Map<string, VisiblePair>() : pairsOf(before);
  const fresh = pairsOf(after);
  return {
    shown: [...fresh].filter(([key]) => !old.has(key)).map(([, pair]) => pair),
    hidden: [...old].filter(([key]) => !fresh.has(key)).map(([, pair]) => pair),
  };
}

function pairsOf(state: VpcState): Map<string, VisiblePair> {
  const pairs = new Map<string, VisiblePair>();
  for (const from of state.devices.values()) {
    for (const to of state.devices.values()) {
      if (from.id === to.id || !mayTalk(state, from, to)) continue;
      const pair = pairOf(from.id, to.id);
      pairs.set(pairKey(pair), pair);
    }
  }
  return pairs;
}

/** Whether some packet may go from one to the other: the sender's outbound and the receiver's inbound rules allow it. */
function mayTalk(state: VpcState, from: DeviceImage, to: DeviceImage): boolean {
  const rulesOf = (device: DeviceImage, side: 'inbound' | 'outbound'): SecurityRule[] =>
    device.securityGroupIds.flatMap((id) => state.groups.get(id)?.[side] ?? []);
  return (
    rulesOf(from, 'outbound').some((rule) => names(rule, to)) &&
    rulesOf(to, 'inbound').some((rule) => names(rule, from))
  );
}

/** Rules that name addresses name all of them in these tests. */
function names({ peer }: SecurityRule, device: DeviceImage): boolean {
  if (peer?.$case === 'securityGroupId') return device.securityGroupIds.includes(peer.value);
  if (peer?.$case === 'deviceId') return peer.value === device.id;
  return peer?.$case === 'addressRange';
}
