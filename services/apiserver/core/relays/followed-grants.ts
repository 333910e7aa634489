import type { GrantPayload } from '@nexodus/contracts/relay';
import { type GrantViews, standingOf } from './grant-standing.ts';

/** Where a grant that stays unknown for so long is judged by the views there are: the VPC was restored to before it. */
const UNKNOWN_MS = 10_000;

interface Followed {
  readonly grant: GrantPayload;
  readonly sinceMs: number;
  isKnown: boolean;
}

/** The grants of one VPC that one relay follows, and what it still has to be told. Instants are of one monotonic clock. */
export class FollowedGrants {
  readonly #byId = new Map<string, Followed>();
  readonly #byDevice = new Map<string, Set<string>>();

  /** Number of grants. */
  get size(): number {
    return this.#byId.size;
  }

  /** Follows a grant from now on. */
  add(grant: GrantPayload, nowMs: number): void {
    this.#byId.set(grant.grantId, { grant, sinceMs: nowMs, isKnown: false });
    for (const { deviceId } of grant.devices) {
      const ids = this.#byDevice.get(deviceId) ?? new Set();
      this.#byDevice.set(deviceId, ids.add(grant.grantId));
    }
  }

  /** Follows a grant no longer. */
  remove(grantId: string): void {
    const followed = this.#byId.get(grantId);
    this.#byId.delete(grantId);
    for (const { deviceId } of followed?.grant.devices ?? []) {
      const ids = this.#byDevice.get(deviceId);
      ids?.delete(grantId);
      if (ids?.size === 0) this.#byDevice.delete(deviceId);
    }
  }

  /** Judges the grants of these devices, or all; returns those that hold no longer, which are not followed any more. */
  judge(
    deviceIds: readonly string[] | 'all',
    views: GrantViews | undefined,
    nowMs: number,
  ): { revoked: string[]; confirmed: string[] } {
    const revoked: string[] = [];
    const confirmed: string[] = [];
    for (const grantId of this.#idsOf(deviceIds)) {
      const followed = this.#byId.get(grantId);
      if (followed === undefined) continue;
      const standing = this.#standing(followed, views, nowMs);
      if (standing === 'revoked') revoked.push(grantId);
      if (standing === 'holds' && !followed.isKnown) confirmed.push(grantId);
      followed.isKnown = standing !== 'unknown';
    }
    for (const grantId of revoked) this.remove(grantId);
    return { revoked, confirmed };
  }

  /** Ids of devices with a grant that could not be judged yet. */
  undecided(): string[] {
    const unknown = [...this.#byId.values()].filter(({ isKnown }) => !isKnown);
    return unknown.flatMap(({ grant }) => grant.devices.map(({ deviceId }) => deviceId));
  }

  #standing(
    { grant, sinceMs }: Followed,
    views: GrantViews | undefined,
    nowMs: number,
  ): ReturnType<typeof standingOf> {
    const standing = standingOf(grant, views);
    if (standing !== 'unknown' || nowMs - sinceMs < UNKNOWN_MS) return standing;
    return standingOf({ ...grant, policyRevision: 0n }, views);
  }

  #idsOf(deviceIds: readonly string[] | 'all'): Set<string> {
    if (deviceIds === 'all') return new Set(this.#byId.keys());
    return new Set(deviceIds.flatMap((id) => [...(this.#byDevice.get(id) ?? [])]));
  }
}
