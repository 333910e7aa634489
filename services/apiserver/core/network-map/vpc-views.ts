/**
 * The views of all devices of one VPC, and how a change of the log changes them.
 *
 * A VPC stands at a revision, up to which policy has answered; later changes wait. Views move on only with policy's
 * answer for exactly the interval, removals excepted: who is deleted or expired is hidden the moment that is known.
 * What a change costs grows with the edges that it touches, never with the number of devices: an entry is encoded once,
 * and only devices that see a difference get it. Rules: docs/protocol/agent.md, "What the service promises".
 */
import type { ViewEntry } from '@nexodus/contracts/agent';
import type { DeviceImage, VpcChange, VpcImage, VpcSnapshot } from '@nexodus/contracts/event';
import type { VisiblePair } from '@nexodus/contracts/policy';
import { peerKey, removalOf, ViewDigest } from '@nexodus/network-map';
import { type DeviceEntries, encodeDevice, isSameEntry } from './device-entries.ts';
import { pairKey, type PolicyAnswer, Visibility } from './visibility.ts';

/** Entries that changed, by the device whose view has them. */
export type ViewChanges = ReadonlyMap<string, readonly ViewEntry[]>;

/** What a change brought at once, before policy answered. */
export interface UrgentChanges {
  /** Removals from the views of those who saw the devices. */
  readonly changes: ViewChanges;
  /** Devices that are no more. */
  readonly deletedDeviceIds: readonly string[];
  /** Devices whose keys the change let expire. */
  readonly expiredDeviceIds: readonly string[];
}

const NOTHING_URGENT: UrgentChanges = {
  changes: new Map(),
  deletedDeviceIds: [],
  expiredDeviceIds: [],
};

/** A change does not follow the one before: the VPC has to be read anew. */
export class LogGap extends Error {
  override readonly name = 'LogGap';
}

/** A VPC from a snapshot on. */
export class VpcViews {
  readonly vpcId: string;
  readonly logIncarnation: string;
  readonly #devices = new Map<string, DeviceEntries>();
  readonly #visibility = new Visibility();
  readonly #hidden = new Set<string>();
  /** Devices as the waiting changes leave them; null for deleted ones. */
  readonly #ahead = new Map<string, DeviceImage | null>();
  #vpc: VpcImage;
  #pending: VpcChange[] = [];
  #revision: bigint;
  #isCompiled = false;
  /** No device expires before, in milliseconds; may be too early. */
  #noExpiryBeforeMs = Infinity;

  /** Nobody sees anybody until the first `advance`, whose answer is a whole one. */
  constructor(snapshot: VpcSnapshot) {
    this.vpcId = snapshot.vpcId;
    this.logIncarnation = snapshot.logIncarnation;
    this.#revision = snapshot.revision;
    this.#vpc = { id: snapshot.vpcId, organizationId: '', name: '' };
    for (const { resource } of snapshot.resources) {
      if (resource?.$case === 'vpc') this.#vpc = resource.value;
    }
    for (const { resource } of snapshot.resources) {
      if (resource?.$case === 'device') this.#put(resource.value);
    }
  }

  /** Up to where policy has answered; the views are of this revision. */
  get revision(): bigint {
    return this.#revision;
  }

  /** The last revision that is known. */
  get latestRevision(): bigint {
    return this.#pending.at(-1)?.revision ?? this.#revision;
  }

  /** Whether policy has answered at all. */
  get isCompiled(): boolean {
    return this.#isCompiled;
  }

  /** Number of changes that wait for policy. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  /** Before this instant (milliseconds since 1970) no device expires; Infinity for never. */
  get noExpiryBeforeMs(): number {
    return this.#noExpiryBeforeMs;
  }

  /** Ids of the devices at `revision`. */
  deviceIds(): IterableIterator<string> {
    return this.#devices.keys();
  }

  /** Whether the device is there: at `revision`, only later, or not at all. */
  whereIs(deviceId: string): 'here' | 'ahead' | 'nowhere' {
    if (this.#devices.has(deviceId)) return 'here';
    return (this.#ahead.get(deviceId) ?? null) === null ? 'nowhere' : 'ahead';
  }

  /** Whether the device is known to be deleted or expired. */
  endOf(deviceId: string): 'deleted' | 'expired' | undefined {
    if (this.#ahead.get(deviceId) === null) return 'deleted';
    return this.#hidden.has(deviceId) ? 'expired' : undefined;
  }

  /** The view of a device; empty for a device that is not here. Its entries are those of all who have them. */
  entriesOf(deviceId: string): ViewEntry[] {
    const device = this.#devices.get(deviceId);
    if (device === undefined) return [];
    const peers = [...this.#visibility.of(deviceId)].map((peerId) => this.#shown(peerId));
    return [device.self, ...peers.filter((entry) => entry !== undefined)];
  }

  /** The view of a device, by key. */
  viewOf(deviceId: string): Map<string, Uint8Array> {
    return new Map(this.entriesOf(deviceId).map(({ key, value }) => [key, value] as const));
  }

  /** Digest of the view of a device; adds up what was hashed when its entries were made. */
  digestOf(deviceId: string): ViewDigest {
    const device = this.#devices.get(deviceId);
    if (device === undefined) return ViewDigest.empty;
    const peers = this.peersOf(deviceId).map((id) => this.#devices.get(id)?.peerDigest);
    return ViewDigest.sum([device.selfDigest, ...peers.filter((digest) => digest !== undefined)]);
  }

  /** Devices that no view may show now: deleted ones that policy has not answered for, and expired ones. */
  hiddenIds(nowMs: number): string[] {
    const known = [...this.#hidden, ...this.#ahead.keys(), ...this.#devices.keys()];
    return [...new Set(known)].filter((id) => this.#hidden.has(id) || this.#mustHide(id, nowMs));
  }

  /** The organization that owns the VPC. */
  get organizationId(): string {
    return this.#vpc.organizationId;
  }

  /** A device as the log has it; undefined for one that no view may show, itself included. */
  shownImage(deviceId: string): DeviceImage | undefined {
    return this.#shown(deviceId) === undefined ? undefined : this.#devices.get(deviceId)?.image;
  }

  /** Whether the view of `viewerId` has an entry of `peerId`. */
  sees(viewerId: string, peerId: string): boolean {
    return this.#visibility.has(viewerId, peerId) && this.#shown(peerId) !== undefined;
  }

  /** The devices whose views have an entry of this one. */
  viewersOf(peerId: string): ReadonlySet<string> {
    return this.#shown(peerId) === undefined ? new Set() : this.#visibility.of(peerId);
  }

  /** The devices that the view of this one has entries of. */
  peersOf(viewerId: string): string[] {
    return [...this.#visibility.of(viewerId)].filter((id) => this.#shown(id) !== undefined);
  }

  /**
   * Takes in the next change of the log; it waits for policy, its removals do not. A change that is known is ignored.
   *
   * @throws {LogGap}
   */
  enqueue(change: VpcChange, nowMs: number): UrgentChanges {
    const latest = this.latestRevision;
    if (change.revision <= latest) return NOTHING_URGENT;
    if (change.revision !== latest + 1n) {
      throw new LogGap(`revision ${change.revision} after ${latest}`);
    }
    this.#pending.push(change);
    this.#lookAhead(change);
    const touched = devicesOf(change);
    const gone = touched.filter((id) => this.#mustHide(id, nowMs));
    const deletedDeviceIds = touched.filter((id) => this.#ahead.get(id) === null);
    const expiredDeviceIds = gone.filter((id) => this.#ahead.get(id) !== null);
    return { changes: this.hide(gone), deletedDeviceIds, expiredDeviceIds };
  }

  /** Hides devices from all views; what only policy's next answer shows again. Returns the removals. */
  hide(deviceIds: readonly string[]): ViewChanges {
    const changes = new ChangeCollector();
    for (const id of deviceIds) {
      const shown = this.#shown(id);
      this.#hidden.add(id);
      if (shown === undefined) continue;
      const removal = removalOf(shown.key);
      for (const viewerId of this.#visibility.of(id)) changes.add(viewerId, removal);
    }
    return changes.byDevice;
  }

  /** Hides the devices whose keys have expired. Returns who expired since the last time, and the removals. */
  expire(nowMs: number): { changes: ViewChanges; expiredDeviceIds: readonly string[] } {
    if (nowMs < this.#noExpiryBeforeMs) return { changes: new Map(), expiredDeviceIds: [] };
    this.#noExpiryBeforeMs = Infinity;
    const expiredDeviceIds: string[] = [];
    for (const id of this.#devices.keys()) {
      const expiresAtMs = this.#expiresAtMs(id);
      if (expiresAtMs > nowMs) this.#noteExpiry(expiresAtMs);
      else if (!this.#hidden.has(id)) expiredDeviceIds.push(id);
    }
    return { changes: this.hide(expiredDeviceIds), expiredDeviceIds };
  }

  /**
   * Moves on to `to` with policy's answer for exactly the interval from `revision` to `to`, or with a whole answer for
   * `to`. Returns the entries by which the views differ from before; none for the first answer, before which there are
   * no views.
   */
  advance(to: bigint, answer: PolicyAnswer, nowMs: number): ViewChanges {
    const taken = this.#pending.filter((change) => change.revision <= to);
    const before = this.#shownBefore(taken);
    const isFirst = !this.#isCompiled;
    const resting = this.#pending.filter((change) => change.revision > to);
    const selves = this.#fold(taken);
    this.#pending = resting;
    this.#revision = to;
    this.#isCompiled = true;
    this.#ahead.clear();
    for (const change of resting) this.#lookAhead(change);
    this.#reviewHidden(before.keys(), nowMs);
    const dropped = [...before.keys()].filter((id) => !this.#devices.has(id));
    const cut = dropped.flatMap((id) => this.#visibility.drop(id));
    const turned = this.#visibility.apply(answer, (id) => this.#devices.has(id));
    return isFirst ? new Map() : this.#differences(before, cut.concat(turned), selves);
  }

  /** What others saw of each device that the changes touch. */
  #shownBefore(taken: readonly VpcChange[]): Map<string, ViewEntry | undefined> {
    const ids = new Set(taken.flatMap(devicesOf));
    return new Map([...ids].map((id) => [id, this.#shown(id)] as const));
  }

  /** Folds changes into the devices; returns those whose own entry changed. */
  #fold(taken: readonly VpcChange[]): Set<string> {
    const selves = new Set<string>();
    const put = (image: DeviceImage): void => {
      const old = this.#devices.get(image.id)?.self;
      this.#put(image);
      if (!isSameEntry(old, this.#devices.get(image.id)?.self)) selves.add(image.id);
    };
    for (const { before, after } of taken.flatMap(({ changes }) => changes)) {
      const resource = after?.resource ?? before?.resource;
      if (resource?.$case === 'vpc' && after !== undefined) {
        this.#vpc = resource.value;
        for (const { image } of this.#devices.values()) put(image);
      }
      if (resource?.$case !== 'device') continue;
      if (after !== undefined) put(resource.value);
      else this.#devices.delete(resource.value.id);
    }
    return selves;
  }

  /** Hiding ends where its reason ended; a device that came in expired is never shown. */
  #reviewHidden(touched: Iterable<string>, nowMs: number): void {
    for (const id of touched) {
      if (this.#devices.has(id) && this.#mustHide(id, nowMs)) this.#hidden.add(id);
      else this.#hidden.delete(id);
    }
  }

  #differences(
    before: ReadonlyMap<string, ViewEntry | undefined>,
    turned: readonly VisiblePair[],
    selves: ReadonlySet<string>,
  ): ViewChanges {
    const turns = oddOnes(turned.map(pairKey));
    const changes = new ChangeCollector();
    const compare = (viewerId: string, peerId: string, isTurned: boolean): void => {
      if (!this.#devices.has(viewerId)) return;
      const isShown = this.#visibility.has(viewerId, peerId);
      const was = before.has(peerId) ? before.get(peerId) : this.#shown(peerId);
      const old = isShown === isTurned ? undefined : was;
      const fresh = isShown ? this.#shown(peerId) : undefined;
      if (!isSameEntry(old, fresh)) changes.add(viewerId, fresh ?? removalOf(peerKey(peerId)));
    };
    for (const id of selves) {
      const self = this.#devices.get(id)?.self;
      if (self !== undefined) changes.add(id, self);
    }
    for (const { firstDeviceId: a, secondDeviceId: b } of turned) {
      const isTurned = this.#isTurned(turns, a, b);
      compare(a, b, isTurned);
      compare(b, a, isTurned);
    }
    for (const [peerId, old] of before) {
      if (isSameEntry(old, this.#shown(peerId))) continue;
      for (const viewerId of this.#visibility.of(peerId)) {
        if (!this.#isTurned(turns, viewerId, peerId)) compare(viewerId, peerId, false);
      }
    }
    return changes.byDevice;
  }

  #isTurned(turns: ReadonlySet<string>, left: string, right: string): boolean {
    return turns.has(pairKey({ firstDeviceId: left, secondDeviceId: right }));
  }

  #shown(deviceId: string): ViewEntry | undefined {
    return this.#hidden.has(deviceId) ? undefined : this.#devices.get(deviceId)?.peer;
  }

  #put(image: DeviceImage): void {
    this.#devices.set(image.id, encodeDevice(image, this.#vpc));
    this.#noteExpiry(Number(image.expireTimeSeconds) * 1_000);
  }

  #lookAhead(change: VpcChange): void {
    for (const { before, after } of change.changes) {
      const resource = after?.resource ?? before?.resource;
      if (resource?.$case !== 'device') continue;
      this.#ahead.set(resource.value.id, after === undefined ? null : resource.value);
      if (after !== undefined) this.#noteExpiry(Number(resource.value.expireTimeSeconds) * 1_000);
    }
  }

  #mustHide(deviceId: string, nowMs: number): boolean {
    return this.#ahead.get(deviceId) === null || this.#expiresAtMs(deviceId) <= nowMs;
  }

  #expiresAtMs(deviceId: string): number {
    const image = this.#ahead.get(deviceId) ?? this.#devices.get(deviceId)?.image;
    return image === undefined ? Infinity : Number(image.expireTimeSeconds) * 1_000;
  }

  #noteExpiry(expiresAtMs: number): void {
    this.#noExpiryBeforeMs = Math.min(this.#noExpiryBeforeMs, expiresAtMs);
  }
}

class ChangeCollector {
  readonly byDevice = new Map<string, ViewEntry[]>();

  add(deviceId: string, entry: ViewEntry): void {
    const entries = this.byDevice.get(deviceId);
    if (entries === undefined) this.byDevice.set(deviceId, [entry]);
    else entries.push(entry);
  }
}

/** What occurs an odd number of times: a pair turned twice is as before. */
function oddOnes(keys: readonly string[]): ReadonlySet<string> {
  const odd = new Set<string>();
  for (const key of keys) if (!odd.delete(key)) odd.add(key);
  return odd;
}

function devicesOf(change: VpcChange): string[] {
  return change.changes.flatMap(({ before, after }) => {
    const resource = after?.resource ?? before?.resource;
    return resource?.$case === 'device' ? [resource.value.id] : [];
  });
}
