import type { Clock } from '@nexodus/clock';
import type { Database } from '@nexodus/database';
import type { Part } from '@nexodus/lifecycle';
import type { Logger } from '@nexodus/telemetry';

/** Time between two rounds, in milliseconds. */
const intervalMs = 60_000;

/** How long answers to repeated creates are kept (AIP-155: 24 h), and the change log. A reader that is further behind gets a snapshot. */
const answersKept = '24 hours';
const changesKept = '7 days';

/** Rows deleted in one statement, so that none runs long. */
const batch = 10_000;

/** Something to do in each round. */
export interface Chore {
  name: string;
  run(): Promise<unknown>;
}

/** Deletes answers and changes that are no longer kept. */
export function expiryChores({ knex }: Database): Chore[] {
  const deleteOld = (table: string, kept: string) => async (): Promise<void> => {
    await knex.raw(
      'DELETE FROM ?? WHERE ctid IN (SELECT ctid FROM ?? WHERE created_at < now() - ?::interval LIMIT ?)',
      [table, table, kept, batch],
    );
  };
  return [
    { name: 'old answers', run: deleteOld('idempotent_answers', answersKept) },
    { name: 'old changes', run: deleteOld('vpc_changes', changesKept) },
  ];
}

/** The part that does the chores every minute. A chore that fails is logged and done again in the next round. */
export function createHousekeeping(
  chores: readonly Chore[],
  { clock, logger }: { clock: Clock; logger: Logger },
): Part {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  const work = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      for (const chore of chores) {
        await chore
          .run()
          .catch((error: unknown) => logger.warn({ error, chore: chore.name }, 'chore failed'));
      }
      await clock.wait(intervalMs, stopping.signal);
    }
  };
  return {
    name: 'housekeeping',
    start: () => {
      running = work();
      return Promise.resolve();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
