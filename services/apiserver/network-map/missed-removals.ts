/**
 * Who was removed before a stream began, for devices that come back while policy does not answer.
 *
 * A device that waits for its view is told at least whose removal it missed. The log is read for all that wait in one
 * go, and only when policy has not answered within a moment: a service that comes back is asked by all its devices at
 * once, and for nearly all of them the view comes first.
 */
import type { Clock } from '@nexodus/clock';
import type { Hello } from '@nexodus/contracts/agent';
import type { VpcChange } from '@nexodus/contracts/event';
import { peerKey, removalOf } from '@nexodus/network-map';
import type { Logger } from '@nexodus/telemetry';
import type { OutboxChange } from '../core/network-map/view-outbox.ts';
import type { ChangeLog } from '../database/change-log.ts';
import { outsideTraces } from './trace-context.ts';

/** A stream that holds a view of this log and has not been told its present one. */
export interface WaitingSession {
  readonly hello: Pick<Hello, 'appliedRevision'>;
  readonly isAttached: boolean;
  readonly isOver: boolean;
  add(change: OutboxChange): void;
}

/** What is needed to look for them. */
export interface MissedRemovalsOptions {
  readonly vpcId: string;
  readonly changeLog: Pick<ChangeLog, 'read'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Devices that are known to be in nobody's view, whenever that was decided. */
  readonly hiddenIds: () => readonly string[];
}

/** What policy gets to answer before the log is read. */
const GRACE_MS = 50;

/** Changes in one read. */
const PAGE = 4_096;

/** Pause after the log could not be read. */
const RETRY_MS = 1_000;

/** Of one VPC. */
export class MissedRemovals {
  readonly #options: MissedRemovalsOptions;
  readonly #waiting = new Set<WaitingSession>();
  #running: Promise<void> | undefined;

  constructor(options: MissedRemovalsOptions) {
    this.#options = options;
  }

  /** Tells the session soon, unless it follows the views by then. */
  tell(session: WaitingSession): void {
    this.#waiting.add(session);
    this.#running ??= outsideTraces(() => this.#run());
  }

  /** Resolves when nothing is under way; after the signal that is soon. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, logger, signal } = this.#options;
    let pauseMs = GRACE_MS;
    while (this.#waiting.size > 0) {
      await clock.wait(pauseMs, signal);
      if (signal.aborted) break;
      const sessions = [...this.#waiting].filter(isWaiting);
      this.#waiting.clear();
      try {
        await this.#tellAll(sessions);
        pauseMs = GRACE_MS;
      } catch (error) {
        logger.debug({ error }, 'removals before a stream could not be read');
        for (const session of sessions) this.#waiting.add(session);
        pauseMs = RETRY_MS;
      }
    }
    this.#running = undefined;
  }

  async #tellAll(all: readonly WaitingSession[]): Promise<void> {
    const { changeLog, hiddenIds, signal, vpcId } = this.#options;
    const hidden = hiddenIds();
    for (const session of all) this.#add(session, hidden);
    let sessions = all;
    let after = all.reduce(
      (least, { hello }) => lesser(least, hello.appliedRevision),
      MAX_REVISION,
    );
    while (sessions.length > 0 && !signal.aborted) {
      const logged = await changeLog.read(vpcId, after, PAGE);
      sessions = sessions.filter(isWaiting);
      for (const session of sessions) {
        const { appliedRevision } = session.hello;
        const missed = logged.filter(({ change }) => change.revision > appliedRevision);
        this.#add(
          session,
          missed.flatMap(({ change }) => deletedDevices(change)),
        );
      }
      const last = logged.at(-1);
      if (last === undefined || logged.length < PAGE) return;
      after = last.change.revision;
    }
  }

  #add(session: WaitingSession, deviceIds: readonly string[]): void {
    if (deviceIds.length === 0) return;
    const entries = deviceIds.map((id) => removalOf(peerKey(id)));
    const seenAtMs = this.#options.clock.monotonicMs();
    session.add({ entries, to: session.hello.appliedRevision, traceparent: '', seenAtMs });
  }
}

/** The devices that a change deletes. */
export function deletedDevices(change: VpcChange): string[] {
  return change.changes.flatMap(({ before, after }) =>
    after === undefined && before?.resource?.$case === 'device' ? [before.resource.value.id] : [],
  );
}

const MAX_REVISION = 2n ** 63n - 1n;

function lesser(left: bigint, right: bigint): bigint {
  return left < right ? left : right;
}

function isWaiting({ isAttached, isOver }: WaitingSession): boolean {
  return !isAttached && !isOver;
}
