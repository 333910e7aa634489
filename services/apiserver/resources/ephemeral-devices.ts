/**
 * Ephemeral devices are removed after 30 minutes offline.
 *
 * Offline time counts only while the service could see the device: a replica removes nothing before it has been up, and
 * connected to the bus, for the full 30 minutes. After an outage every device has that long to come back.
 */
import type { Clock } from '@nexodus/clock';
import type { MessageBus } from '@nexodus/messaging';
import type { Caller } from '../identity/caller.ts';
import type { ResourceDependencies } from './dependencies.ts';
import { lockDevice } from './device-rows.ts';
import type { DevicePresence } from './device-service.ts';
import { removeDevice } from './remove-device.ts';

/** Offline time after which an ephemeral device is removed, in milliseconds. */
const offlineLimitMs = 30 * 60_000;

/** Removes ephemeral devices that stayed away. */
export interface EphemeralDevices {
  /** Removes what is due, and returns the ids. Called about once a minute. */
  removeDue(): Promise<string[]>;
}

/** Watches from now on how long devices could have been seen. */
export function createEphemeralDevices(
  dependencies: ResourceDependencies & {
    presence: DevicePresence;
    bus: Pick<MessageBus, 'onStatus'>;
  },
): EphemeralDevices {
  const { bus, clock, database, presence } = dependencies;
  let seeingSince = clock.now();
  bus.onStatus(() => {
    seeingSince = clock.now();
  });
  return {
    removeDue: async () => {
      if (!isLongAgo(seeingSince, clock)) return [];
      const rows: { id: string; vpc_id: string }[] = await database
        .knex('devices')
        .where({ ephemeral: true })
        .whereRaw('coalesce(last_seen_at, created_at) < ?', [
          new Date(clock.now() - offlineLimitMs),
        ])
        .limit(1_000)
        .select('id', 'vpc_id');
      const away = rows.filter((row) => !presence.isOnline(row.vpc_id, row.id));
      const removed: string[] = [];
      for (const { id } of away) if (await remove(dependencies, id)) removed.push(id);
      return removed;
    },
  };
}

function isLongAgo(instant: number, clock: Clock): boolean {
  return clock.now() - instant >= offlineLimitMs;
}

/** Removes the device unless it came back, or was removed, since it was looked for. */
function remove(dependencies: ResourceDependencies, id: string): Promise<boolean> {
  const actor: Caller = { kind: 'service', source: '' };
  const { clock, database } = dependencies;
  return database.transaction(
    async (transaction) => {
      const locked = await lockDevice(transaction, id);
      if (locked === undefined) return false;
      const lastSeenAt = locked.row.last_seen_at ?? locked.row.created_at;
      if (!isLongAgo(lastSeenAt.getTime(), clock)) return false;
      await removeDevice(transaction, dependencies, { locked, actor });
      return true;
    },
    { name: 'remove ephemeral device' },
  );
}
