import type { ReachabilityMap, Relay, StunServer } from '@nexodus/contracts/agent';
import type { RelayHeartbeat } from '@nexodus/contracts/relay';
import type { StunHeartbeat } from '@nexodus/contracts/stun';
import { isRelayId } from '../network-map/whereabouts.ts';

/** An instance that was not heard of for so long is gone: three missed heartbeats. */
const SILENCE_MS = 33_000;

/** Instances that are remembered; more cannot be by mistake. */
const MAX_INSTANCES = 1_000;

interface Heard<T> {
  readonly said: T;
  readonly atMs: number;
}

/** The relays and STUN servers that were heard of lately. Instants are those of one monotonic clock. */
export class Reachability {
  readonly #relays = new Map<string, Heard<RelayHeartbeat>>();
  readonly #stunServers = new Map<string, Heard<StunHeartbeat>>();
  #map: ReachabilityMap = { relays: [], stunServers: [] };

  /** Who is there, in the order of their names. */
  get map(): ReachabilityMap {
    return this.#map;
  }

  /** Takes a relay's word; the newest instance of a name counts. Whether anything is different for devices. */
  hearRelay(said: RelayHeartbeat, nowMs: number): boolean {
    if (!isRelayId(said.relayId)) return false;
    keep(this.#relays, said.relayId, { said, atMs: nowMs });
    return this.#review(nowMs);
  }

  /** Takes a STUN server's word. Whether anything is different for devices. */
  hearStun(said: StunHeartbeat, nowMs: number): boolean {
    keep(this.#stunServers, said.instanceId, { said, atMs: nowMs });
    return this.#review(nowMs);
  }

  /** Forgets who fell silent. Whether anything is different for devices. */
  forgetSilent(nowMs: number): boolean {
    return this.#review(nowMs);
  }

  #review(nowMs: number): boolean {
    const before = JSON.stringify(this.#map);
    for (const heard of [this.#relays, this.#stunServers]) {
      for (const [key, { atMs }] of heard) if (nowMs - atMs >= SILENCE_MS) heard.delete(key);
    }
    const relays = [...this.#relays.values()].map(({ said }) => relayOf(said));
    const stunServers = [...this.#stunServers.values()].map(({ said }) => stunServerOf(said));
    this.#map = {
      relays: relays.filter(({ url }) => url !== '').sort((a, b) => compare(a.relayId, b.relayId)),
      stunServers: stunServers
        .filter(({ addresses }) => addresses.length > 0)
        .sort((a, b) => compare(a.addresses.join(), b.addresses.join())),
    };
    return JSON.stringify(this.#map) !== before;
  }
}

function keep<T>(map: Map<string, Heard<T>>, key: string, heard: Heard<T>): void {
  if (map.has(key) || map.size < MAX_INSTANCES) map.set(key, heard);
}

function relayOf(said: RelayHeartbeat): Relay {
  const { draining, freeSessions, region, relayId, stunAddresses, url } = said;
  return {
    relayId,
    region,
    url,
    stunAddresses,
    available: freeSessions > 0n && !draining,
    draining,
  };
}

function stunServerOf({ addresses, region }: StunHeartbeat): StunServer {
  return { region, addresses };
}

function compare(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
