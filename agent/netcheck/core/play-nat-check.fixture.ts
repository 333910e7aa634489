/** A translating router, STUN servers and time, all in memory, between which a check is played. */
import {
  beginNatCheck,
  type NatAnswer,
  type NatCheck,
  type NatCheckPlan,
  type NatRequest,
  stepNatCheck,
} from './nat-check.ts';
import type { FilteringBehaviour, MappingBehaviour, Place } from './nat-verdict.ts';

/** How the router is. */
export interface ModelNat {
  readonly mapping: MappingBehaviour | 'none';
  readonly filtering: FilteringBehaviour;
  readonly isHairpinning: boolean;
  readonly preservesPorts: boolean;
}

/** A server; with `other` it answers from there too (RFC 5780). */
export interface ModelServer {
  readonly at: Place;
  readonly other?: Place;
  /** It does not answer. */
  readonly isDead?: boolean;
  /** It answers a request to change from where it was asked. */
  readonly ignoresChanges?: boolean;
}

/** What a play is made of. */
export interface Play {
  readonly nat: ModelNat;
  readonly servers: readonly ModelServer[];
  readonly plan?: Partial<NatCheckPlan>;
  readonly roundTripMs?: number;
  /** Whether a request, or its answer, is lost. */
  readonly isLost?: (request: NatRequest) => boolean;
}

export const INSIDE = '192.168.1.2';
export const OUTSIDE = '203.0.113.1';
export const LOCAL_PORT = 51_820;

/** Plays a check to its end; gives it and when it ended. */
export function playNatCheck(play: Play): { readonly check: NatCheck; readonly endedAtMs: number } {
  const { servers, roundTripMs = 20, isLost = () => false } = play;
  const router = new ModelRouter(play.nat);
  const arrivals: { atMs: number; id: number; answer: NatAnswer | 'refused' }[] = [];
  let nowMs = 0;
  const isUntranslated = play.nat.mapping === 'none';
  let step = beginNatCheck(
    {
      servers: servers.map(({ at }) => at),
      contacted: new Set(),
      ownAddresses: new Set(isUntranslated ? [OUTSIDE] : [INSIDE]),
      localPort: LOCAL_PORT,
      ...play.plan,
    },
    nowMs,
  );
  while (step.check.stage !== 'done') {
    for (const request of step.requests) {
      const answer = isLost(request) ? undefined : answerOf(router, servers, request);
      if (answer !== undefined)
        arrivals.push({ atMs: nowMs + roundTripMs, id: request.id, answer });
    }
    const next = arrivals.toSorted((a, b) => a.atMs - b.atMs)[0];
    if (next !== undefined && next.atMs <= step.nextAtMs) {
      arrivals.splice(arrivals.indexOf(next), 1);
      nowMs = next.atMs;
      const { id, answer } = next;
      const event =
        answer === 'refused'
          ? ({ kind: 'refused', id } as const)
          : ({ kind: 'answered', id, answer } as const);
      step = stepNatCheck(step.check, event, nowMs);
    } else {
      if (step.nextAtMs === Infinity) throw new Error('the check waits for nothing');
      nowMs = step.nextAtMs;
      step = stepNatCheck(step.check, { kind: 'wake' }, nowMs);
    }
  }
  return { check: step.check, endedAtMs: nowMs };
}

function answerOf(
  router: ModelRouter,
  servers: readonly ModelServer[],
  { test, socket, to }: NatRequest,
): NatAnswer | 'refused' | undefined {
  if (test === 'hairpin') {
    const mapped = router.send(socket, to);
    return router.turns(to) ? { from: mapped } : undefined;
  }
  const server = servers.find(({ at, other }) => {
    const addresses = [at.address, other?.address];
    return addresses.includes(to.address) && [at.port, other?.port].includes(to.port);
  });
  if (server === undefined || server.isDead === true) return undefined;
  const mapped = router.send(socket, to);
  const from = sourceOf(server, test, to);
  if (from === undefined) return 'refused';
  return router.lets(socket, mapped, from) ? { from, mapped, other: server.other } : undefined;
}

function sourceOf(server: ModelServer, test: NatRequest['test'], to: Place): Place | undefined {
  const isChange = test === 'change-both' || test === 'change-port';
  if (!isChange || server.ignoresChanges === true) return to;
  if (server.other === undefined) return undefined;
  return test === 'change-both' ? server.other : { ...to, port: server.other.port };
}

/** RFC 4787 in a few lines. */
class ModelRouter {
  readonly #nat: ModelNat;
  readonly #mappings = new Map<string, Place>();
  readonly #sentTo = new Map<string, Place[]>();

  constructor(nat: ModelNat) {
    this.#nat = nat;
  }

  send(socket: string, to: Place): Place {
    const { mapping, preservesPorts } = this.#nat;
    const insidePort = socket === 'main' ? LOCAL_PORT : 40_000;
    const key = {
      none: socket,
      eim: socket,
      adm: `${socket} ${to.address}`,
      apdm: `${socket} ${to.address} ${to.port}`,
    }[mapping];
    const isKept = mapping === 'none' || (preservesPorts && !this.#isTaken(insidePort, key));
    const port = isKept ? insidePort : 20_000 + this.#mappings.size;
    const mapped = this.#mappings.get(key) ?? { address: OUTSIDE, port };
    this.#mappings.set(key, mapped);
    this.#sentTo.set(`${mapped.port}`, [...(this.#sentTo.get(`${mapped.port}`) ?? []), to]);
    return mapped;
  }

  lets(_socket: string, mapped: Place, from: Place): boolean {
    const sentTo = this.#sentTo.get(`${mapped.port}`) ?? [];
    const { filtering } = this.#nat;
    if (filtering === 'eif') return true;
    return sentTo.some(
      ({ address, port }) =>
        address === from.address && (filtering === 'adf' || port === from.port),
    );
  }

  turns(to: Place): boolean {
    return this.#nat.isHairpinning && this.#sentTo.has(`${to.port}`);
  }

  #isTaken(port: number, key: string): boolean {
    return [...this.#mappings].some(([other, mapped]) => mapped.port === port && other !== key);
  }
}
