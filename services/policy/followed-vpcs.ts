import type { Clock } from '@nexodus/clock';
import type { WatchVpcsResponse } from '@nexodus/contracts/event';
import {
  FollowedVpc,
  type Interval,
  type IntervalAnswer,
  RevisionGapError,
} from './core/followed-vpc.ts';
import type { HistoryLimits } from './core/pair-history.ts';

/** A question about an interval of a VPC's log. */
export interface IntervalQuestion extends Interval {
  readonly vpcId: string;
}

/** How long to wait for an answer. */
export interface Patience {
  readonly waitMs: number;
  /** The asker is gone. */
  readonly signal: AbortSignal;
}

/** All VPCs that are followed, and those who wait for one to get on. */
export class FollowedVpcs {
  readonly #limits: HistoryLimits;
  readonly #clock: Pick<Clock, 'monotonicMs' | 'wait'>;
  readonly #vpcs = new Map<string, FollowedVpc>();
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(limits: HistoryLimits, clock: Pick<Clock, 'monotonicMs' | 'wait'>) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Takes one event of the stream.
   *
   * @throws {RevisionGapError} when the stream left something out: it must be opened again
   */
  take({ event }: WatchVpcsResponse): void {
    switch (event?.$case) {
      case 'snapshot': {
        const { vpcId } = event.value;
        const vpc = this.#vpcs.get(vpcId);
        const next = vpc?.resynchronized(event.value) ?? new FollowedVpc(event.value, this.#limits);
        this.#vpcs.set(vpcId, next);
        return this.#wake(vpcId);
      }
      case 'change': {
        const vpc = this.#vpcs.get(event.value.vpcId);
        if (vpc === undefined) throw new RevisionGapError('a change came before any snapshot');
        vpc.advance(event.value);
        return this.#wake(event.value.vpcId);
      }
      case 'removed':
        this.#vpcs.delete(event.value.vpcId);
        return;
      case 'heartbeat':
      case undefined:
        return;
    }
  }

  /** Forgets a VPC: whatever is known of it may be wrong. */
  forget(vpcId: string): void {
    this.#vpcs.delete(vpcId);
  }

  /** Ids of the VPCs that are held. */
  ids(): string[] {
    return [...this.#vpcs.keys()];
  }

  /** Answers for exactly an interval, waiting a while for its end to arrive. */
  async compile(question: IntervalQuestion, patience: Patience): Promise<IntervalAnswer> {
    const deadlineAt = this.#clock.monotonicMs() + patience.waitMs;
    for (;;) {
      const answer = this.#vpcs.get(question.vpcId)?.compile(question) ?? { state: 'ahead' };
      const remainingMs = deadlineAt - this.#clock.monotonicMs();
      if (answer.state !== 'ahead' || remainingMs <= 0 || patience.signal.aborted) return answer;
      await this.#moved(question.vpcId, remainingMs, patience.signal);
    }
  }

  /** Resolves when the VPC got on, or time is up. */
  async #moved(vpcId: string, waitMs: number, signal: AbortSignal): Promise<void> {
    const moved = new AbortController();
    const wake = (): void => moved.abort();
    const waiting = this.#waiting.get(vpcId) ?? new Set();
    this.#waiting.set(vpcId, waiting.add(wake));
    await this.#clock.wait(waitMs, AbortSignal.any([signal, moved.signal]));
    waiting.delete(wake);
    if (waiting.size === 0 && this.#waiting.get(vpcId) === waiting) this.#waiting.delete(vpcId);
  }

  #wake(vpcId: string): void {
    for (const wake of this.#waiting.get(vpcId) ?? []) wake();
  }
}
