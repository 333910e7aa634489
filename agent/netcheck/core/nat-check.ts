/**
 * One check of what stands between this machine and the internet, for one address family (RFC 4787, RFC 5780).
 *
 * Two sockets take part. `main` is the tunnel's port: what is learnt of it holds for the tunnel. `fresh` is a socket of its
 * own that has talked to nobody, and is thrown away afterwards.
 *
 * First `main` asks all servers. Then, all at once: servers with a second address answer `main` from there (filtering); it
 * sends to its own outside address (hairpin); and where that comparison is not enough, `fresh` compares addresses and
 * ports of one server (mapping). `main` itself never sends to a server's second address: that would let its answers in for
 * as long as the mapping lives, and the next check would find a filter that is not there.
 */
import type { Place } from './nat-verdict.ts';

/** What a check begins with. */
export interface NatCheckPlan {
  /** STUN servers of one family, addresses canonical; those behind the first eight are not asked. */
  readonly servers: readonly Place[];
  /** Addresses that the port talks to besides: a server that answers from one of them proves nothing. */
  readonly contacted: ReadonlySet<string>;
  /** Addresses of this machine, canonical: seen from outside they mean that nothing translates. */
  readonly ownAddresses: ReadonlySet<string>;
  /** Port that the main socket sends from. */
  readonly localPort: number;
}

/** What a request finds out. */
export type NatTest =
  | 'mapped'
  | 'change-both'
  | 'change-port'
  | 'hairpin'
  /** From the fresh socket: to the server, to its second address, to its second address and port. */
  | 'fresh-first'
  | 'fresh-address'
  | 'fresh-port';

/** A request to send now: a Binding request, with CHANGE-REQUEST for the two changes. */
export interface NatRequest {
  /** Names the request in the answer; the same when it is repeated. */
  readonly id: number;
  readonly test: NatTest;
  readonly socket: 'main' | 'fresh';
  readonly to: Place;
}

/** An answer: where it came from, and what it says. */
export interface NatAnswer {
  readonly from: Place;
  /** Absent from what came back by itself (hairpin). */
  readonly mapped?: Place;
  /** The server's second address and port (OTHER-ADDRESS). */
  readonly other?: Place;
}

/** What a check is told. */
export type NatEvent =
  /** Time has come: see `nextAtMs`. */
  | { readonly kind: 'wake' }
  | { readonly kind: 'answered'; readonly id: number; readonly answer: NatAnswer }
  /** The server does not do that, or nothing can be sent there. */
  | { readonly kind: 'refused'; readonly id: number };

/** A request and what became of it. */
export interface NatProbe {
  readonly request: NatRequest;
  readonly outcome: 'waiting' | 'answered' | 'refused' | 'silent';
  readonly answer: NatAnswer | undefined;
  readonly tries: number;
  readonly nextAtMs: number;
}

/** Where a check stands. */
export interface NatCheck {
  readonly plan: NatCheckPlan;
  readonly stage: 'servers' | 'behaviour' | 'done';
  readonly probes: readonly NatProbe[];
  readonly firstAnswerAtMs: number;
}

/** Outcome of a step. */
export interface NatStep {
  readonly check: NatCheck;
  /** To be sent now. */
  readonly requests: readonly NatRequest[];
  /** When it wants to be woken; Infinity: never. */
  readonly nextAtMs: number;
}

const MAX_SERVERS = 8;

/**
 * Waits for an answer before the next attempt, and after the last. RFC 8489 section 6.2.1 begins with 500 ms and ends after
 * 39.5 s; here people wait, and what needs more than a second would be no path for a tunnel.
 */
const WAIT_MS = [250, 500, 750] as const;

/**
 * After the first server the others have so long, if those that answered can tell everything; what comes later is compared
 * all the same.
 */
const GRACE_MS = 400;

/** A check whose first requests are due now. */
export function beginNatCheck(plan: NatCheckPlan, nowMs: number): NatStep {
  const begun: NatCheck = { plan, stage: 'servers', probes: [], firstAnswerAtMs: Infinity };
  const asked = plan.servers.slice(0, MAX_SERVERS);
  const check = withProbes(
    begun,
    asked.map((to) => ({ test: 'mapped' as const, socket: 'main' as const, to })),
    nowMs,
  );
  return advance(check, nowMs);
}

/** Takes one step. Never throws; an event that fits no request is none. */
export function stepNatCheck(check: NatCheck, event: NatEvent, nowMs: number): NatStep {
  if (event.kind === 'wake') return advance(check, nowMs);
  const probes = check.probes.map((probe) =>
    probe.request.id === event.id && probe.outcome === 'waiting' ? settle(probe, event) : probe,
  );
  const isFirst = check.firstAnswerAtMs === Infinity && event.kind === 'answered';
  const firstAnswerAtMs = isFirst ? nowMs : check.firstAnswerAtMs;
  return advance({ ...check, probes, firstAnswerAtMs }, nowMs);
}

/** The servers that answered from where they were asked, in the order of the plan. */
export function answeredServers({ probes }: Pick<NatCheck, 'probes'>): readonly NatProbe[] {
  return probes.filter(
    ({ request, answer }) => request.test === 'mapped' && answer?.mapped !== undefined,
  );
}

/** Whether two places are one. */
export function isSamePlace(a: Place | undefined, b: Place | undefined): boolean {
  return a !== undefined && b !== undefined && a.address === b.address && a.port === b.port;
}

function settle(probe: NatProbe, event: Exclude<NatEvent, { kind: 'wake' }>): NatProbe {
  const nextAtMs = Infinity;
  if (event.kind === 'refused') return { ...probe, outcome: 'refused', nextAtMs };
  const { answer } = event;
  const isMeant = isAnswerMeant(probe.request, answer);
  return { ...probe, outcome: isMeant ? 'answered' : 'refused', answer, nextAtMs };
}

/** A server that does not know how to change where it answers from answers from where it was asked. */
function isAnswerMeant({ test, to }: NatRequest, { from }: NatAnswer): boolean {
  if (test === 'change-both') return from.address !== to.address && from.port !== to.port;
  if (test === 'change-port') return from.address === to.address && from.port !== to.port;
  return true;
}

function advance(check: NatCheck, nowMs: number): NatStep {
  let current = check;
  if (current.stage === 'servers' && isOverFirstStage(current, nowMs)) {
    current = withProbes({ ...current, stage: 'behaviour' }, behaviourTests(current), nowMs);
  }
  const requests: NatRequest[] = [];
  const probes = current.probes.map((probe) => {
    const next = attempt(probe, nowMs);
    if (next.tries > probe.tries) requests.push(next.request);
    return next;
  });
  current = { ...current, probes };
  if (current.stage === 'servers' && isOverFirstStage(current, nowMs)) {
    const rest = advance(current, nowMs);
    return { ...rest, requests: [...requests, ...rest.requests] };
  }
  if (current.stage === 'behaviour' && probes.every(({ outcome }) => outcome !== 'waiting')) {
    return { check: { ...current, stage: 'done' }, requests, nextAtMs: Infinity };
  }
  return { check: current, requests, nextAtMs: nextOf(current) };
}

function nextOf(check: NatCheck): number {
  const { stage, probes } = check;
  if (stage === 'done') return Infinity;
  const graceAtMs = canTellAll(check) ? check.firstAnswerAtMs + GRACE_MS : Infinity;
  const waits = probes.map(({ nextAtMs }) => nextAtMs);
  return Math.min(stage === 'servers' ? graceAtMs : Infinity, ...waits);
}

function attempt(probe: NatProbe, nowMs: number): NatProbe {
  if (probe.outcome !== 'waiting' || nowMs < probe.nextAtMs) return probe;
  const waitMs = WAIT_MS[probe.tries];
  if (waitMs === undefined) return { ...probe, outcome: 'silent', nextAtMs: Infinity };
  return { ...probe, tries: probe.tries + 1, nextAtMs: nowMs + waitMs };
}

function isOverFirstStage(check: NatCheck, nowMs: number): boolean {
  const isSettled = check.probes.every(({ outcome }) => outcome !== 'waiting');
  return isSettled || (nowMs >= check.firstAnswerAtMs + GRACE_MS && canTellAll(check));
}

/** A server that tells filtering has a second address, by which it tells mapping too. */
function canTellAll(check: NatCheck): boolean {
  return filteringTests(check, answeredServers(check)).length > 0;
}

type PlannedTest = Pick<NatRequest, 'test' | 'socket' | 'to'>;

function withProbes(check: NatCheck, tests: readonly PlannedTest[], nowMs: number): NatCheck {
  const first = check.probes.length;
  const added = tests.map((test, index): NatProbe => ({
    request: { id: first + index, ...test },
    outcome: 'waiting',
    answer: undefined,
    tries: 0,
    nextAtMs: nowMs,
  }));
  return { ...check, probes: [...check.probes, ...added] };
}

function behaviourTests(check: NatCheck): readonly PlannedTest[] {
  const answered = answeredServers(check);
  const mapped = answered[0]?.answer?.mapped;
  if (mapped === undefined) return [];
  const isTranslated = !check.plan.ownAddresses.has(mapped.address);
  return [
    ...filteringTests(check, answered),
    ...(isTranslated ? [{ test: 'hairpin', socket: 'main', to: mapped } as const] : []),
    ...(isTranslated && !isMappingSettled(answered) ? freshTests(answered) : []),
  ];
}

/** By a server whose second address nobody here talks to. */
function filteringTests({ plan }: NatCheck, answered: readonly NatProbe[]): readonly PlannedTest[] {
  const asked = new Set([...plan.contacted, ...plan.servers.map(({ address }) => address)]);
  const server = answered.find(({ request, answer }) => {
    const other = answer?.other;
    return hasSecondAddress(request.to, other) && !asked.has(other?.address ?? '');
  });
  if (server === undefined) return [];
  const { to } = server.request;
  return [
    { test: 'change-both', socket: 'main', to },
    { test: 'change-port', socket: 'main', to },
  ];
}

/** Whether the answers of two addresses agree: then ports need not be compared. */
function isMappingSettled(answered: readonly NatProbe[]): boolean {
  const addresses = new Set(answered.map(({ request }) => request.to.address));
  const [first, ...others] = answered.map(({ answer }) => answer?.mapped);
  return addresses.size > 1 && others.every((mapped) => isSamePlace(first, mapped));
}

function freshTests(answered: readonly NatProbe[]): readonly PlannedTest[] {
  const server = answered.find(({ request, answer }) =>
    hasSecondAddress(request.to, answer?.other),
  );
  const other = server?.answer?.other;
  if (server === undefined || other === undefined) return [];
  const { to } = server.request;
  return [
    { test: 'fresh-first', socket: 'fresh', to },
    { test: 'fresh-address', socket: 'fresh', to: { address: other.address, port: to.port } },
    { test: 'fresh-port', socket: 'fresh', to: other },
  ];
}

function hasSecondAddress(server: Place, other: Place | undefined): boolean {
  return other !== undefined && other.address !== server.address && other.port !== server.port;
}
