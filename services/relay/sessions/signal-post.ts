import type { Clock } from '@nexodus/clock';
import type { Signal } from '@nexodus/contracts/relay-session';
import type { BucketLimit } from '../core/token-bucket.ts';
import type { Attachment, Attachments } from './attachments.ts';
import { type PairSessions, sideOf } from './pair-sessions.ts';

/** Longest signal (session.proto). */
const MAX_SEALED_BYTES = 1_200;

/** A signal is not queued behind so many messages: it would be late, and others could fill the queue. */
const MOST_WAITING = 64;

/** What one attachment may send: some for each of the pairs that begin at once, then those that keep up with changes. */
export const SIGNAL_LIMIT: BucketLimit = { ratePerSecond: 20, burst: 40 };

/**
 * What became of a signal. `limit`: its sender sent too many; `malformed`: empty or too long; `refused`: its sender does not
 * have the session open; `not-here`: the peer does not, or is not attached here; `slow`: the peer reads slowly.
 */
type SignalOutcome = 'forwarded' | 'limit' | 'malformed' | 'not-here' | 'refused' | 'slow';

/** What signals pass between. */
export interface SignalPostOptions {
  readonly attachments: Pick<Attachments, 'get'>;
  readonly sessions: Pick<PairSessions, 'get'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** Passes signals from one side of a session to the other. It keeps none: what cannot be passed on at once is dropped. */
export class SignalPost {
  readonly #options: SignalPostOptions;
  readonly #counts: Record<SignalOutcome, number> = {
    forwarded: 0,
    limit: 0,
    malformed: 0,
    'not-here': 0,
    refused: 0,
    slow: 0,
  };

  constructor(options: SignalPostOptions) {
    this.#options = options;
  }

  /** Signals by what became of them. */
  get counts(): Readonly<Record<SignalOutcome, number>> {
    return this.#counts;
  }

  /** Passes a signal of an attached device on, and counts it. */
  pass(from: Attachment, signal: Signal): void {
    this.#counts[this.#deliver(from, signal)] += 1;
  }

  #deliver(from: Attachment, { sealed, sessionId }: Signal): SignalOutcome {
    const { attachments, clock, sessions } = this.#options;
    if (!from.signals.take(1, clock.monotonicMs())) return 'limit';
    if (sealed.length === 0 || sealed.length > MAX_SEALED_BYTES) return 'malformed';
    const session = sessions.get(sessionId);
    const side = session && sideOf(session.grant, from.deviceId);
    if (session === undefined || side === undefined || !session.isOpen[side]) return 'refused';
    const other = side === 0 ? 1 : 0;
    const peer = attachments.get(session.grant.devices[other]?.deviceId ?? '');
    if (peer === undefined || !session.isOpen[other]) return 'not-here';
    const message = { $case: 'signalled', value: { sessionId, sealed } } as const;
    const isTaken = peer.line.offer(message, MOST_WAITING);
    return isTaken ? 'forwarded' : 'slow';
  }
}
