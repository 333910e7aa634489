/**
 * Follows the change logs of all VPCs from cursors of its own.
 *
 * The doorbell says that a VPC advanced, and then its log is read; a poll of all heads once a second makes up for bells
 * that were lost, finds new and removed VPCs, and notices a log that was restored.
 */
import type { Clock } from '@nexodus/clock';
import { VpcAdvanced, type VpcChange } from '@nexodus/contracts/event';
import type { Part } from '@nexodus/lifecycle';
import type { BusMessage, BusSubscription, MessageBus } from '@nexodus/messaging';
import type { Logger } from '@nexodus/telemetry';
import { isGapless, judgeHead, type LogCursor } from '../core/network-map/log-cursor.ts';
import { type ChangeLog, type LogHead, vpcAdvancedSubject } from '../database/change-log.ts';
import { outsideTraces } from './trace-context.ts';

/** A change with what is known about its way here. */
export interface SeenChange {
  readonly change: VpcChange;
  /** W3C trace context of who made it, or empty. */
  readonly traceparent: string;
  /** When this replica saw it, on the monotonic clock. */
  readonly seenAtMs: number;
}

/** Is told, in this order for each VPC: it begins; its changes, one by one without a gap; it begins again, or is gone. */
export interface LogListener {
  /** The VPC is there. A snapshot that is read from here on joins the changes that follow. */
  begun(vpcId: string): void;
  changed(seen: SeenChange): void;
  removed(vpcId: string): void;
}

/** What following needs. */
export interface LogFollowerOptions {
  readonly changeLog: Pick<ChangeLog, 'heads' | 'read'>;
  readonly bus: Pick<MessageBus, 'subscribe'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Time between two looks at all heads. */
  readonly pollMs: number;
}

/** Changes read at once. */
const READ_LIMIT = 256;

interface Position {
  logIncarnation: string;
  revision: bigint;
  reading: Promise<void> | undefined;
  /** There may be more than what is being read. */
  isBehind: boolean;
}

/** One for each replica. */
export class LogFollower {
  readonly part: Part = {
    name: 'change log follower',
    start: () => outsideTraces(() => this.#start()),
    stop: () => this.#stop(),
  };
  readonly #options: LogFollowerOptions;
  readonly #positions = new Map<string, Position>();
  readonly #listeners = new Set<LogListener>();
  readonly #stopping = new AbortController();
  #subscription: BusSubscription | undefined;
  #polling: Promise<void> | undefined;
  #nextPoll: Promise<void> | undefined;
  #running: Promise<void> | undefined;

  constructor(options: LogFollowerOptions) {
    this.#options = options;
  }

  /** VPCs that are there. */
  vpcIds(): string[] {
    return [...this.#positions.keys()];
  }

  /** Tells the listener what comes, until the returned function is called. */
  listen(listener: LogListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Resolves when listeners were told all that was committed before the call. Calls at the same time share a look at the
   * heads. Rejects when the database does not answer.
   */
  refresh(): Promise<void> {
    if (this.#nextPoll !== undefined) return this.#nextPoll;
    if (this.#polling === undefined) return this.#poll();
    this.#nextPoll = this.#polling
      .catch(() => undefined)
      .then(() => {
        this.#nextPoll = undefined;
        return this.#poll();
      });
    return this.#nextPoll;
  }

  async #start(): Promise<void> {
    const { bus, logger } = this.#options;
    this.#subscription = bus.subscribe(vpcAdvancedSubject('*'), (message) => this.#ring(message), {
      onGap: () => this.#lookSoon(),
      onError: (error) => logger.warn({ error }, 'a doorbell could not be understood'),
    });
    await this.refresh();
    this.#running = this.#keepPolling();
  }

  async #stop(): Promise<void> {
    this.#subscription?.unsubscribe();
    this.#stopping.abort();
    await this.#running;
    await Promise.allSettled([...this.#positions.values()].flatMap(({ reading }) => reading ?? []));
  }

  async #keepPolling(): Promise<void> {
    const { clock, pollMs } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.wait(pollMs, signal);
      if (!signal.aborted) await this.refresh().catch((error: unknown) => this.#failed(error));
    }
  }

  #lookSoon(): void {
    this.refresh().catch((error: unknown) => this.#failed(error));
  }

  #failed(error: unknown): void {
    this.#options.logger.warn({ error }, 'the change log could not be read');
  }

  #ring({ data }: BusMessage): void {
    const { vpcId, revision } = VpcAdvanced.decode(data);
    const position = this.#positions.get(vpcId);
    if (position === undefined) this.#lookSoon();
    else if (revision > position.revision) {
      this.#read(vpcId, position).catch((error: unknown) => this.#failed(error));
    }
  }

  #poll(): Promise<void> {
    const polling = outsideTraces(() => this.#lookAtHeads()).finally(() => {
      if (this.#polling === polling) this.#polling = undefined;
    });
    this.#polling = polling;
    return polling;
  }

  async #lookAtHeads(): Promise<void> {
    const before = new Map<string, LogCursor>();
    for (const [vpcId, { logIncarnation, revision }] of this.#positions) {
      before.set(vpcId, { logIncarnation, revision });
    }
    const heads = await this.#options.changeLog.heads();
    const reads = heads.flatMap((head) => this.#compare(head, before.get(head.vpcId)) ?? []);
    const present = new Set(heads.map(({ vpcId }) => vpcId));
    for (const vpcId of before.keys()) {
      if (present.has(vpcId) || !this.#positions.delete(vpcId)) continue;
      for (const listener of this.#listeners) listener.removed(vpcId);
    }
    await Promise.all(reads);
  }

  #compare(head: LogHead, before: LogCursor | undefined): Promise<void> | undefined {
    const position = this.#positions.get(head.vpcId);
    const verdict = before === undefined ? 'restart' : judgeHead(before, head);
    if (position === undefined || verdict === 'restart') {
      this.#begin(head);
      return undefined;
    }
    const isBehind = position.revision < head.revision;
    return verdict === 'read' && isBehind ? this.#catchUp(head, position) : position.reading;
  }

  /** What is no longer kept up to the head cannot be read: then the VPC begins anew. */
  async #catchUp(head: LogHead, position: Position): Promise<void> {
    await this.#read(head.vpcId, position);
    const isSame = this.#positions.get(head.vpcId) === position;
    if (isSame && position.revision < head.revision) this.#begin(head);
  }

  #begin({ vpcId, logIncarnation, revision }: LogHead): void {
    this.#positions.set(vpcId, { logIncarnation, revision, reading: undefined, isBehind: false });
    for (const listener of this.#listeners) listener.begun(vpcId);
  }

  /** One reading of a VPC at a time; what is asked for meanwhile is read by it too. */
  #read(vpcId: string, position: Position): Promise<void> {
    position.isBehind = true;
    position.reading ??= this.#readOn(vpcId, position);
    return position.reading;
  }

  async #readOn(vpcId: string, position: Position): Promise<void> {
    try {
      while (position.isBehind && this.#positions.get(vpcId) === position) {
        position.isBehind = false;
        const count = await this.#readOnce(vpcId, position);
        if (count === READ_LIMIT) position.isBehind = true;
      }
    } finally {
      position.reading = undefined;
    }
  }

  async #readOnce(vpcId: string, position: Position): Promise<number> {
    const { changeLog, clock, logger } = this.#options;
    const logged = await changeLog.read(vpcId, position.revision, READ_LIMIT);
    if (this.#positions.get(vpcId) !== position) return 0;
    const changes = logged.map(({ change }) => change);
    if (!isGapless(position.revision, changes)) {
      logger.warn({ vpc_id: vpcId }, 'the change log has a gap; its VPC is read anew');
      const revision = changes.at(-1)?.revision ?? position.revision;
      this.#begin({ vpcId, logIncarnation: position.logIncarnation, revision });
      return 0;
    }
    const seenAtMs = clock.monotonicMs();
    for (const { change, traceparent } of logged) {
      position.revision = change.revision;
      const seen = { change, traceparent, seenAtMs };
      for (const listener of this.#listeners) listener.changed(seen);
    }
    return logged.length;
  }
}
