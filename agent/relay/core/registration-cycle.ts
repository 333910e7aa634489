/**
 * The registration of one side of a session at one address of a relay: asked, echoed with the address that the relay saw,
 * renewed while the session is used. Two steps, because only a registration that names the source it comes from locks
 * (docs/protocol/relay.md).
 */

/** Where the registration stands. Instants are on the monotonic clock; `A` is an address as the relay saw it. */
export interface RegistrationCycle<A> {
  /** `silent`: the relay does not answer, and nothing more is sent. */
  readonly phase: 'asking' | 'registered' | 'silent';
  /** What the next registration says. */
  readonly observed: A | undefined;
  /** Registrations since the last answer that moved things on. */
  readonly tries: number;
  /** Answers since it was registered last that did not lock. */
  readonly echoes: number;
  readonly nextAtMs: number;
}

/** What a cycle is told. */
export type RegistrationEvent<A> =
  /** Time has come: see `nextAtMs`. */
  | { readonly kind: 'wake' }
  /** The relay, or a change of the network, makes the lock doubtful. */
  | { readonly kind: 'again' }
  | { readonly kind: 'answered'; readonly observed: A; readonly isLocked: boolean };

/** What a step reads of the world. */
export interface RegistrationInstant {
  readonly nowMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
}

/** Outcome of a step. */
export interface RegistrationStep<A> {
  readonly cycle: RegistrationCycle<A>;
  /** Whether a registration shall be sent now. */
  readonly isSent: boolean;
}

/** Waits for an answer, one after the other: room for round trips of 600 ms, and no longer than people wait for a call. */
const ANSWER_MS = [250, 500, 750, 1_000] as const;

/** Renewed so often: mappings of NATs live 30 s at least in practice, and RFC 4787 REQ-5 asks for more. */
const RENEW_MS = 15_000;
const RENEW_SPREAD_MS = 5_000;

/** A NAT that shows another address in each answer never locks: then this path is no use. */
const MAX_ECHOES = 5;

/** A cycle whose first registration is due now. */
export function beginRegistration<A>(nowMs: number): RegistrationCycle<A> {
  return { phase: 'asking', observed: undefined, tries: 0, echoes: 0, nextAtMs: nowMs };
}

/** Takes one step. Never throws. */
export function stepRegistration<A>(
  cycle: RegistrationCycle<A>,
  event: RegistrationEvent<A>,
  instant: RegistrationInstant,
): RegistrationStep<A> {
  if (cycle.phase === 'silent') return { cycle, isSent: false };
  switch (event.kind) {
    case 'wake':
      return instant.nowMs < cycle.nextAtMs ? { cycle, isSent: false } : ask(cycle, instant);
    case 'again':
      return ask({ ...cycle, tries: 0 }, instant);
    case 'answered':
      return event.isLocked ? locked(cycle, event.observed, instant) : echo(cycle, event, instant);
  }
}

function ask<A>(cycle: RegistrationCycle<A>, { nowMs }: RegistrationInstant): RegistrationStep<A> {
  const waitMs = ANSWER_MS[cycle.tries];
  if (waitMs === undefined) {
    return { cycle: { ...cycle, phase: 'silent', nextAtMs: Infinity }, isSent: false };
  }
  return {
    cycle: { ...cycle, tries: cycle.tries + 1, nextAtMs: nowMs + waitMs },
    isSent: true,
  };
}

function locked<A>(
  cycle: RegistrationCycle<A>,
  observed: A,
  { nowMs, random }: RegistrationInstant,
): RegistrationStep<A> {
  const nextAtMs = nowMs + RENEW_MS + random * RENEW_SPREAD_MS;
  return {
    cycle: { ...cycle, phase: 'registered', observed, tries: 0, echoes: 0, nextAtMs },
    isSent: false,
  };
}

function echo<A>(
  cycle: RegistrationCycle<A>,
  { observed }: { readonly observed: A },
  instant: RegistrationInstant,
): RegistrationStep<A> {
  const echoes = cycle.echoes + 1;
  if (echoes > MAX_ECHOES) {
    return { cycle: { ...cycle, phase: 'silent', nextAtMs: Infinity }, isSent: false };
  }
  return ask({ ...cycle, observed, echoes, tries: 0 }, instant);
}
