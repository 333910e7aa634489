/**
 * When the tunnel's port asks by which outside addresses it is seen, and whom: two servers of each family, at different
 * addresses, so that a NAT which maps by destination shows itself. While the tunnel is used it asks often enough to keep
 * its mappings and to notice new ones; at a change of the network at once; while nothing uses it never.
 */
import type { MappedPlace, Place } from './nat-verdict.ts';

/** Where the cycle stands. Instants are on the monotonic clock. */
export interface ReflexiveCycle {
  /** Whether the tunnel is used. */
  readonly isActive: boolean;
  readonly isAsking: boolean;
  /** Whether the network changed while it asked, so that the answers may be of the one before. */
  readonly isStale: boolean;
  /** Rises when a server was silent: others are asked then. */
  readonly turn: number;
  readonly askedAtMs: number;
  readonly nextAtMs: number;
  /** How the tunnel's port was seen last. */
  readonly mapped: readonly MappedPlace[];
}

/** What a cycle is told. */
export type ReflexiveEvent =
  /** Time has come: see `nextAtMs`. */
  | { readonly kind: 'wake' }
  /** The network, the tunnel's port or the known servers are different. */
  | { readonly kind: 'changed' }
  | { readonly kind: 'activity'; readonly isActive: boolean }
  /** All asked servers answered or were given up. */
  | { readonly kind: 'ended'; readonly mapped: readonly MappedPlace[] };

/** What a step reads of the world. */
export interface ReflexiveInstant {
  readonly nowMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
  /** Those known at this moment, of both families. */
  readonly servers: readonly Place[];
}

/** Outcome of a step. */
export interface ReflexiveStep {
  readonly cycle: ReflexiveCycle;
  /** To be asked now; an `ended` follows. Empty: nobody. */
  readonly ask: readonly Place[];
  /** Whether the addresses are others than before. */
  readonly isChanged: boolean;
}

/** A NAT may forget a mapping after 30 s in practice (RFC 4787 section 4.3 asks for 120 s): less, with room for a loss. */
const PERIOD_MS = 20_000;
const SPREAD_MS = 6_000;

const SERVERS_PER_FAMILY = 2;

/** A cycle that has asked nobody. */
export const FIRST_REFLEXIVE_CYCLE: ReflexiveCycle = {
  isActive: false,
  isAsking: false,
  isStale: false,
  turn: 0,
  askedAtMs: -Infinity,
  nextAtMs: Infinity,
  mapped: [],
};

/** Takes one step. Never throws. */
export function stepReflexive(
  cycle: ReflexiveCycle,
  event: ReflexiveEvent,
  instant: ReflexiveInstant,
): ReflexiveStep {
  switch (event.kind) {
    case 'wake':
      return instant.nowMs < cycle.nextAtMs ? stay(cycle) : ask(cycle, instant);
    case 'changed':
      return cycle.isAsking ? stay({ ...cycle, isStale: true }) : ask(cycle, instant);
    case 'activity':
      return attend(cycle, event.isActive, instant);
    case 'ended':
      return end(cycle, event.mapped, instant);
  }
}

function stay(cycle: ReflexiveCycle): ReflexiveStep {
  return { cycle, ask: [], isChanged: false };
}

function ask(cycle: ReflexiveCycle, { nowMs, servers }: ReflexiveInstant): ReflexiveStep {
  if (cycle.isAsking) return stay(cycle);
  const asked = chooseServers(servers, cycle.turn);
  if (asked.length === 0) {
    const isChanged = cycle.mapped.length > 0;
    return { cycle: { ...cycle, nextAtMs: Infinity, mapped: [] }, ask: [], isChanged };
  }
  const asking = { ...cycle, isAsking: true, isStale: false, askedAtMs: nowMs, nextAtMs: Infinity };
  return { cycle: asking, ask: asked, isChanged: false };
}

function attend(
  cycle: ReflexiveCycle,
  isActive: boolean,
  instant: ReflexiveInstant,
): ReflexiveStep {
  if (isActive === cycle.isActive) return stay(cycle);
  const next = { ...cycle, isActive, nextAtMs: Infinity };
  if (!isActive || cycle.isAsking) return stay(next);
  const isFresh = instant.nowMs - cycle.askedAtMs < PERIOD_MS;
  return isFresh ? stay({ ...next, nextAtMs: nextRound(instant) }) : ask(next, instant);
}

function end(
  cycle: ReflexiveCycle,
  mapped: readonly MappedPlace[],
  instant: ReflexiveInstant,
): ReflexiveStep {
  const asked = chooseServers(instant.servers, cycle.turn);
  const ended = {
    ...cycle,
    isAsking: false,
    turn: mapped.length < asked.length ? cycle.turn + 1 : cycle.turn,
    nextAtMs: cycle.isActive ? nextRound(instant) : Infinity,
  };
  if (cycle.isStale) return ask(ended, instant);
  const isChanged = textOf(mapped) !== textOf(cycle.mapped);
  return { cycle: { ...ended, mapped }, ask: [], isChanged };
}

function nextRound({ nowMs, random }: ReflexiveInstant): number {
  return nowMs + PERIOD_MS + random * SPREAD_MS;
}

/** Two of each family at different addresses, beginning with the one whose turn it is. */
function chooseServers(servers: readonly Place[], turn: number): readonly Place[] {
  const isIpv6 = ({ address }: Place): boolean => address.includes(':');
  return [servers.filter((place) => !isIpv6(place)), servers.filter(isIpv6)].flatMap((family) => {
    const byAddress = new Map(family.map((place) => [place.address, place]));
    const others = [...byAddress.values()];
    const at = others.length === 0 ? 0 : turn % others.length;
    return [...others.slice(at), ...others.slice(0, at)].slice(0, SERVERS_PER_FAMILY);
  });
}

/** What of the places counts: not who saw them. */
function textOf(places: readonly MappedPlace[]): string {
  const texts = places.map(({ mapped }) => `${mapped.address} ${mapped.port}`);
  return [...new Set(texts)].toSorted().join();
}
