import type { Database } from '@nexodus/database';
import type { SessionStore } from './session-store.ts';

/**
 * Epochs rise by more than one: they follow the clock, so that after a restore from a backup they are still above those
 * that the soft-state store has seen.
 */
const begin = `
UPDATE devices SET
  session_epoch = greatest(session_epoch + 1, cast(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)),
  last_seen_at = :now
WHERE id = :deviceId AND vpc_id = :vpcId AND expires_at > :now
RETURNING session_epoch`;

/**
 * Who is heard is there, whichever session that is: the newest one may have been given up before it began, and a live
 * device must not look like one that was not seen for long.
 */
const note = `
UPDATE devices SET
  applied_revision = CASE
    WHEN devices.session_epoch = note.epoch THEN coalesce(note.applied_revision, devices.applied_revision)
    ELSE devices.applied_revision
  END,
  last_seen_at = greatest(devices.last_seen_at, note.seen_at)
FROM unnest(
  cast(:ids AS uuid[]), cast(:epochs AS bigint[]), cast(:revisions AS bigint[]), cast(:seen AS timestamptz[])
) AS note (id, epoch, applied_revision, seen_at)
WHERE devices.id = note.id`;

/** Sessions in the table of devices. */
export function createPostgresSessionStore(database: Database): SessionStore {
  return {
    begin: async ({ deviceId, vpcId }, nowMs) => {
      const { rows } = await database.knex.raw<{ rows: { session_epoch: bigint }[] }>(begin, {
        deviceId,
        vpcId,
        now: new Date(nowMs),
      });
      const [row] = rows;
      if (row !== undefined) return { outcome: 'begun', epoch: row.session_epoch };
      const device: unknown = await database
        .knex('devices')
        .where({ id: deviceId, vpc_id: vpcId })
        .first('id');
      return { outcome: device === undefined ? 'deleted' : 'expired' };
    },
    note: async (notes) => {
      await database.knex.raw(note, {
        ids: notes.map(({ deviceId }) => deviceId),
        epochs: notes.map(({ epoch }) => String(epoch)),
        revisions: notes.map(({ appliedRevision }) => appliedRevision?.toString() ?? null),
        seen: notes.map(({ seenAtMs }) => new Date(seenAtMs)),
      });
    },
  };
}
