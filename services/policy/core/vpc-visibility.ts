/**
 * Who sees whom in one VPC.
 *
 * Two devices see each other when some packet may go from one to the other: when a rule of an outbound direction of the
 * sender's groups and a rule of the inbound direction of the receiver's groups both allow it. Groups only allow, and the
 * groups of a device add up. What is not understood, or refers to what does not exist, allows nothing. A device without a
 * binding sees nobody and is seen by nobody.
 *
 * Nothing is kept for pairs: a change names what it touched, and the peers of the devices that depend on it are taken
 * before and after it. Their cost grows with the number of candidates, which an index over inbound rules (the narrow
 * direction: the default group lets in its members only, and out to anywhere) keeps near the number of peers. Only an
 * inbound rule with an address range makes every device a candidate.
 */
import type { DeviceImage, ResourceImage, SecurityGroupImage } from '@nexodus/contracts/event';
import { InvalidAddressError, type IpAddress, parseIpAddress } from '@nexodus/netip';
import { type DevicePair, type PairChanges, pairChanges, pairOf, PairSet } from './device-pair.ts';
import { factsOf, keyOf, type ResourceUpdate, updateOf } from './resource-update.ts';
import {
  familiesFor,
  type PacketRule,
  parsePacketRule,
  rulesOverlap,
  type RuleTarget,
} from './packet-rule.ts';

interface DeviceState {
  readonly id: string;
  /** Groups as listed, whether or not they exist. */
  readonly listedGroupIds: ReadonlySet<string>;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
}

interface GroupState {
  readonly inbound: readonly PacketRule[];
  readonly outbound: readonly PacketRule[];
}

/** The state of one VPC, as far as visibility depends on it. */
export class VpcVisibility {
  /** What of each resource visibility depends on, to tell updates that change nothing of it. */
  readonly #facts = new Map<string, { readonly update: ResourceUpdate; readonly text: string }>();
  /** Devices that take part: those with a binding and addresses. */
  readonly #devices = new Map<string, DeviceState>();
  /** The same devices as others' rules see them: with the groups that exist. */
  readonly #targets = new Map<string, RuleTarget>();
  readonly #groups = new Map<string, GroupState>();
  /** Devices that take part, by listed group. */
  readonly #listing = new Index();
  /** Groups whose inbound rules refer to a group or a device, by its id. */
  readonly #admitting = new Index();
  /** Groups with an inbound rule for addresses. */
  readonly #admittingRanges = new Set<string>();

  /** Makes several updates at once, and tells what they change. An id is updated once at most. */
  apply(all: readonly ResourceUpdate[]): PairChanges {
    const updates = all.filter(
      (update) => this.#facts.get(keyOf(update))?.text !== factsOf(update),
    );
    const affected = new Set<string>();
    for (const update of updates) this.#addDependents(update, affected);
    const before = this.#pairsOf(affected);
    for (const update of updates) this.#set(update);
    for (const update of updates) this.#addDependents(update, affected);
    return pairChanges(before, this.#pairsOf(affected));
  }

  /** Takes a first state. */
  load(images: readonly ResourceImage[]): void {
    for (const update of this.updatesTo(images)) this.#set(update);
  }

  /** The updates that lead from here to a state of these resources and no others. */
  updatesTo(images: readonly ResourceImage[]): ResourceUpdate[] {
    const wanted = images.flatMap((image) => updateOf(image) ?? []);
    const wantedKeys = new Set(wanted.map(keyOf));
    const held = [...this.#facts.values()].map(({ update }) => update);
    const gone = held.filter((update) => !wantedKeys.has(keyOf(update)));
    return [...gone.map(({ kind, id }) => ({ kind, id })), ...wanted];
  }

  /** All pairs. */
  pairs(): PairSet {
    return this.#pairsOf(this.#devices.keys());
  }

  #set(update: ResourceUpdate): void {
    const text = factsOf(update);
    if (text === undefined) this.#facts.delete(keyOf(update));
    else this.#facts.set(keyOf(update), { update: { kind: update.kind, id: update.id }, text });
    const resource = update.image?.resource;
    if (update.kind === 'device') {
      this.#setDevice(update.id, resource?.$case === 'device' ? resource.value : undefined);
    } else {
      this.#setGroup(update.id, resource?.$case === 'securityGroup' ? resource.value : undefined);
    }
  }

  #setDevice(id: string, image: DeviceImage | undefined): void {
    const old = this.#devices.get(id);
    for (const groupId of old?.listedGroupIds ?? []) this.#listing.remove(groupId, id);
    this.#devices.delete(id);
    this.#targets.delete(id);
    const device = image && readDevice(image);
    if (device === undefined) return;
    this.#devices.set(id, device);
    for (const groupId of device.listedGroupIds) this.#listing.add(groupId, id);
    this.#retarget(device);
  }

  #setGroup(id: string, image: SecurityGroupImage | undefined): void {
    this.#removeGroup(id);
    if (image !== undefined) this.#addGroup(id, readGroup(image));
    for (const deviceId of this.#listing.of(id)) {
      const device = this.#devices.get(deviceId);
      if (device !== undefined) this.#retarget(device);
    }
  }

  #removeGroup(id: string): void {
    for (const rule of this.#groups.get(id)?.inbound ?? []) {
      const key = referenceKey(rule);
      if (key !== undefined) this.#admitting.remove(key, id);
    }
    this.#groups.delete(id);
    this.#admittingRanges.delete(id);
  }

  #addGroup(id: string, group: GroupState): void {
    this.#groups.set(id, group);
    for (const rule of group.inbound) {
      const key = referenceKey(rule);
      if (key === undefined) this.#admittingRanges.add(id);
      else this.#admitting.add(key, id);
    }
  }

  /** Devices whose peers may be others after the update. */
  #addDependents({ kind, id }: ResourceUpdate, to: Set<string>): void {
    if (kind === 'device') to.add(id);
    else for (const deviceId of this.#listing.of(id)) to.add(deviceId);
  }

  #pairsOf(deviceIds: Iterable<string>): PairSet {
    const pairs = new PairSet();
    for (const id of deviceIds) {
      const target = this.#targets.get(id);
      if (target === undefined) continue;
      for (const pair of this.#pairsWith(target, pairs)) pairs.add(pair);
    }
    return pairs;
  }

  /** The device's pairs, but for those that are known already. */
  *#pairsWith(target: RuleTarget, known: PairSet): Generator<DevicePair, void, undefined> {
    const candidates = new Set([...this.#admitters(target), ...this.#admittedBy(target)]);
    candidates.delete(target.id);
    for (const id of candidates) {
      const other = this.#targets.get(id);
      const pair = pairOf(target.id, id);
      if (other === undefined || known.has(pair)) continue;
      if (this.#mayReach(target, other) || this.#mayReach(other, target)) yield pair;
    }
  }

  /** Devices some inbound rule of which means the target. */
  *#admitters(target: RuleTarget): Generator<string, void, undefined> {
    const groupIds = new Set([
      ...this.#admittingRanges,
      ...this.#admitting.of(deviceKey(target.id)),
    ]);
    for (const id of target.groupIds)
      for (const groupId of this.#admitting.of(groupKey(id))) groupIds.add(groupId);
    for (const groupId of groupIds) {
      const rules = this.#groups.get(groupId)?.inbound ?? [];
      if (rules.some((rule) => means(rule, target))) yield* this.#listing.of(groupId);
    }
  }

  /** Devices that some inbound rule of the target means; all of them where it has one for addresses. */
  *#admittedBy(target: RuleTarget): Generator<string, void, undefined> {
    for (const groupId of target.groupIds) {
      for (const { peer } of this.#groups.get(groupId)?.inbound ?? []) {
        if (peer.kind === 'device') yield peer.deviceId;
        else if (peer.kind === 'range') yield* this.#devices.keys();
        else if (this.#groups.has(peer.groupId)) yield* this.#listing.of(peer.groupId);
      }
    }
  }

  /** Whether some packet may go from one device to another. */
  #mayReach(from: RuleTarget, to: RuleTarget): boolean {
    const admitting = this.#rulesMeaning('inbound', to, from);
    if (admitting.length === 0) return false;
    return this.#rulesMeaning('outbound', from, to).some((leaving) => {
      const out = familiesFor(leaving, to);
      return admitting.some((entering) => {
        const into = familiesFor(entering, from);
        const hasFamily = (out.v4 && into.v4) || (out.v6 && into.v6);
        return hasFamily && rulesOverlap(leaving, entering);
      });
    });
  }

  #rulesMeaning(
    direction: 'inbound' | 'outbound',
    owner: RuleTarget,
    other: RuleTarget,
  ): PacketRule[] {
    const rules: PacketRule[] = [];
    for (const groupId of owner.groupIds)
      for (const rule of this.#groups.get(groupId)?.[direction] ?? [])
        if (means(rule, other)) rules.push(rule);
    return rules;
  }

  #retarget({ id, ipv4, ipv6, listedGroupIds }: DeviceState): void {
    const groupIds = new Set([...listedGroupIds].filter((groupId) => this.#groups.has(groupId)));
    this.#targets.set(id, { id, ipv4, ipv6, groupIds });
  }
}

/** Values by key. */
class Index {
  readonly #values = new Map<string, Set<string>>();

  of(key: string): ReadonlySet<string> {
    return this.#values.get(key) ?? new Set();
  }

  add(key: string, value: string): void {
    const values = this.#values.get(key) ?? new Set<string>();
    this.#values.set(key, values.add(value));
  }

  remove(key: string, value: string): void {
    const values = this.#values.get(key);
    values?.delete(value);
    if (values?.size === 0) this.#values.delete(key);
  }
}

function means(rule: PacketRule, target: RuleTarget): boolean {
  const { v4, v6 } = familiesFor(rule, target);
  return v4 || v6;
}

function readDevice(image: DeviceImage): DeviceState | undefined {
  const ipv4 = readAddress(image.ipv4Address);
  const ipv6 = readAddress(image.ipv6Address);
  if (image.binding === undefined || ipv4 === undefined || ipv6 === undefined) return undefined;
  return { id: image.id, ipv4, ipv6, listedGroupIds: new Set(image.securityGroupIds) };
}

function readGroup({ inbound, outbound }: SecurityGroupImage): GroupState {
  return {
    inbound: inbound.flatMap((rule) => parsePacketRule(rule) ?? []),
    outbound: outbound.flatMap((rule) => parsePacketRule(rule) ?? []),
  };
}

function readAddress(text: string): IpAddress | undefined {
  try {
    return parseIpAddress(text);
  } catch (error) {
    if (error instanceof InvalidAddressError) return undefined;
    throw error;
  }
}

function groupKey(id: string): string {
  return `group ${id}`;
}

function deviceKey(id: string): string {
  return `device ${id}`;
}

/** What an inbound rule refers to; undefined for addresses. */
function referenceKey({ peer }: PacketRule): string | undefined {
  if (peer.kind === 'group') return groupKey(peer.groupId);
  return peer.kind === 'device' ? deviceKey(peer.deviceId) : undefined;
}
