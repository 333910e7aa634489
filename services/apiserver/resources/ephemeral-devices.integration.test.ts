import { randomBytes } from 'node:crypto';
import { ManualClock } from '@nexodus/clock';
import type { Database } from '@nexodus/database';
import { createInProcessMessageBus } from '@nexodus/messaging';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createChangeLog } from '../database/change-log.ts';
import { startTestDatabase, type TestDatabase } from '../database/test-database.fixture.ts';
import { createAuditLog } from '../identity/audit-log.ts';
import { insertOrganization } from '../identity/user-directory.ts';
import type { ResourceDependencies } from './dependencies.ts';
import { createEphemeralDevices } from './ephemeral-devices.ts';
import { insertVpc } from './vpc-creation.ts';

const minuteMs = 60_000;
let testDatabase: TestDatabase;
let database: Database;
beforeAll(async () => {
  testDatabase = await startTestDatabase();
  ({ database } = testDatabase);
});
afterAll(() => testDatabase?.stop());

async function insertDevice(
  hostname: string,
  vpc: { id: string; organizationId: string },
): Promise<string> {
  const [row] = await database
    .knex('devices')
    .insert({
      id: database.knex.raw('uuidv7()'),
      organization_id: vpc.organizationId,
      vpc_id: vpc.id,
      hostname,
      os: 'linux',
      device_public_key: randomBytes(32),
      wireguard_public_key: randomBytes(32),
      disco_public_key: randomBytes(32),
      ipv4_address: hostname === 'away' ? '100.64.0.1' : '100.64.0.2',
      ipv6_address: `fd00::${randomBytes(2).toString('hex')}`,
      tags: [],
      ephemeral: true,
      last_seen_at: new Date(),
      expires_at: new Date(Date.now() + 1e9),
    })
    .returning('id');
  return row.id;
}

test('an ephemeral device goes after 30 minutes offline, but none before the service could see it for as long', async () => {
  const clock = new ManualClock(Date.now());
  const orders: unknown[] = [];
  const bus = createInProcessMessageBus();
  const dependencies: ResourceDependencies = {
    database,
    changeLog: createChangeLog(database, bus),
    authorizer: { require: () => Promise.resolve(), organizationsFor: () => Promise.resolve([]) },
    audit: createAuditLog(database),
    ipamOutbox: {
      put: (_transaction, order) => Promise.resolve(void orders.push(order)),
      part: { name: 'unused', start: () => Promise.resolve(), stop: () => Promise.resolve() },
    },
    clock,
    randomBytes,
  };
  const organizationId = await database.transaction((transaction) =>
    insertOrganization(transaction, { name: 'demo', globalId: randomBytes(5) }),
  );
  const vpc = await database.transaction((transaction) =>
    insertVpc(
      transaction,
      {
        organizationId,
        name: 'v',
        description: '',
        ipv4Prefix: '100.64.0.0/10',
        ipv6Prefix: undefined,
        isDefault: true,
      },
      dependencies,
    ),
  );
  const online = await insertDevice('online', { id: vpc.id, organizationId });
  const away = await insertDevice('away', { id: vpc.id, organizationId });
  const ephemeral = createEphemeralDevices({
    ...dependencies,
    presence: { isOnline: (_vpcId, deviceId) => deviceId === online },
    bus,
  });
  clock.advance(29 * minuteMs);
  expect(await ephemeral.removeDue()).toEqual([]);
  clock.advance(2 * minuteMs);
  const restarted = createEphemeralDevices({
    ...dependencies,
    presence: { isOnline: () => false },
    bus,
  });
  expect(await restarted.removeDue()).toEqual([]);
  expect(await ephemeral.removeDue()).toEqual([away]);
  expect(orders.at(-1)).toEqual({ kind: 'release', poolId: vpc.id, ownerId: away });
  expect(await ephemeral.removeDue()).toEqual([]);
  await bus.close();
});
