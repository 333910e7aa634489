import type { Clock, Timer } from '@nexodus/clock';
import type { PortSocket } from '../relay/port-socket.ts';
import { judgeNat } from './core/judge-nat.ts';
import {
  beginNatCheck,
  type NatCheckPlan,
  type NatEvent,
  type NatRequest,
  type NatStep,
  stepNatCheck,
} from './core/nat-check.ts';
import type { NatVerdict } from './core/nat-verdict.ts';
import {
  type StunChange,
  StunExchange,
  type StunReply,
  type StunTransaction,
} from './stun-exchange.ts';

/** What a check runs with. */
export interface NatCheckOptions {
  readonly plan: NatCheckPlan;
  /** The socket whose place is asked for; it stays open. */
  readonly main: PortSocket;
  /** One that has talked to nobody; it stays open, and is no good for another check. */
  readonly fresh: PortSocket;
  readonly clock: Clock;
  /** Ends the check early: the verdict is then of what was known. */
  readonly signal: AbortSignal;
}

const changes: Partial<Record<NatRequest['test'], StunChange>> = {
  'change-both': { changesAddress: true, changesPort: true },
  'change-port': { changesAddress: false, changesPort: true },
};

/** Finds out what stands between this machine and the servers; takes up to 4 s. Never rejects. */
export async function runNatCheck(options: NatCheckOptions): Promise<NatVerdict> {
  const run = new NatCheckRun(options);
  const { signal } = options;
  const end = (): void => run.close();
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  try {
    return await run.verdict;
  } finally {
    signal.removeEventListener('abort', end);
  }
}

class NatCheckRun {
  readonly #clock: Clock;
  readonly #exchanges: Readonly<Record<NatRequest['socket'], StunExchange>>;
  readonly #transactions = new Map<number, StunTransaction>();
  readonly #ended = Promise.withResolvers<NatVerdict>();
  #step: NatStep;
  #timer: Timer | undefined;

  constructor({ plan, main, fresh, clock }: NatCheckOptions) {
    this.#clock = clock;
    this.#exchanges = {
      main: new StunExchange(main, clock),
      fresh: new StunExchange(fresh, clock),
    };
    this.#step = beginNatCheck(plan, clock.monotonicMs());
    this.#follow();
  }

  get verdict(): Promise<NatVerdict> {
    return this.#ended.promise;
  }

  close(): void {
    this.#timer?.cancel();
    this.#exchanges.main.close();
    this.#exchanges.fresh.close();
    this.#ended.resolve(judgeNat(this.#step.check));
  }

  #handle(event: NatEvent): void {
    this.#step = stepNatCheck(this.#step.check, event, this.#clock.monotonicMs());
    this.#follow();
  }

  #follow(): void {
    const { check, requests, nextAtMs } = this.#step;
    this.#timer?.cancel();
    if (check.stage === 'done') {
      this.close();
      return;
    }
    const delayMs = Math.max(0, nextAtMs - this.#clock.monotonicMs());
    this.#timer = this.#clock.setTimer(delayMs, () => this.#handle({ kind: 'wake' }));
    for (const request of requests) this.#transactionOf(request).send();
  }

  #transactionOf(request: NatRequest): StunTransaction {
    const { id, socket, test, to } = request;
    const begun = this.#transactions.get(id);
    if (begun !== undefined) return begun;
    const transaction = this.#exchanges[socket].begin(
      to,
      (reply) => this.#handle(eventOf(request, reply)),
      changes[test],
    );
    this.#transactions.set(id, transaction);
    return transaction;
  }
}

/** Only the request to the own address comes back as it is. */
function eventOf({ id, test }: NatRequest, reply: StunReply): NatEvent {
  const isMeant = reply.kind === (test === 'hairpin' ? 'own' : 'success');
  if (!isMeant) return { kind: 'refused', id };
  const { from, mapped, other } = reply;
  return { kind: 'answered', id, answer: { from, mapped, other } };
}
