import { randomUUID } from 'node:crypto';
import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import { IpamServiceDefinition, type IpamServiceImplementation } from '@nexodus/contracts/ipam';
import type { Database } from '@nexodus/database';
import { createInMemoryClient, failedPrecondition, invalidArgument } from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestDatabase, type TestDatabase } from '../database/test-database.fixture.ts';
import type { IpamOrder } from './ipam-orders.ts';
import { createIpamOutbox } from './ipam-outbox.ts';

let testDatabase: TestDatabase;
let database: Database;
beforeAll(async () => {
  testDatabase = await startTestDatabase();
  ({ database } = testDatabase);
});
afterAll(() => testDatabase?.stop());
beforeEach(() => database.knex('ipam_outbox').delete());

type Handlers = IpamServiceImplementation<{ identity: undefined }>;

/** Puts the orders, has them said to an ipam that answers so, and returns what was said once no order is due. */
async function say(orders: readonly IpamOrder[], answers: Partial<Handlers>): Promise<string[]> {
  const said: string[] = [];
  const hears =
    (name: keyof Handlers) =>
    (...call: unknown[]): unknown => {
      said.push(name);
      const answer: unknown = answers[name];
      return typeof answer === 'function' ? answer(...call) : Promise.resolve({});
    };
  const names = Object.keys(IpamServiceDefinition.methods) as (keyof Handlers)[]; // its own keys
  const handlers = Object.fromEntries(names.map((name) => [name, hears(name)]));
  const ipam = createInMemoryClient(
    IpamServiceDefinition,
    handlers as unknown as Handlers, // a handler for each of its methods
    { identity: undefined },
  );
  const outbox = createIpamOutbox({ database, ipam, clock: systemClock, logger: silentLogger });
  await database.transaction(async (transaction) => {
    for (const order of orders) await outbox.put(transaction, order);
  });
  await outbox.part.start();
  await eventually(async () => {
    const due = await database
      .knex('ipam_outbox')
      .whereNull('failed_at')
      .whereRaw("run_after < now() + interval '20 seconds'");
    return due.length === 0;
  });
  await outbox.part.stop();
  return said;
}

function confirmation(poolId: string): IpamOrder {
  return {
    kind: 'confirm',
    poolId,
    ownerId: randomUUID(),
    ipv4Address: '10.0.0.1',
    ipv6Address: 'fd00::1',
  };
}

test('an order that ipam refuses as such is put aside, and those behind it are said', async () => {
  const poolId = randomUUID();
  const pool: IpamOrder = { kind: 'create-pool', poolId, ipv4Prefix: 'x', ipv6Prefix: 'y' };
  const said = await say([pool, { kind: 'delete-pool', poolId }], {
    createPool: () => Promise.reject(invalidArgument([{ field: 'ipv4_prefix', description: 'x' }])),
  });
  expect(said).toEqual(['createPool', 'deletePool']);
  const left = await database.knex('ipam_outbox').select('kind', 'attempts');
  expect(left).toEqual([{ kind: 'create-pool', attempts: 1 }]);
});

const leaseEnded = failedPrecondition('LEASE_ENDED', 'the owner has no lease; reserve again');

test('a confirmation that comes after the deletion of its device takes back what it did', async () => {
  let isReserved = false;
  const said = await say([confirmation(randomUUID())], {
    confirmAddresses: () => (isReserved ? Promise.resolve({}) : Promise.reject(leaseEnded)),
    reserveAddresses: () => {
      isReserved = true;
      return Promise.resolve({});
    },
  });
  expect(said).toEqual([
    'confirmAddresses',
    'reserveAddresses',
    'confirmAddresses',
    'releaseAddresses',
  ]);
});

test('a confirmation that another replica took over reserves nothing and leaves the order to it', async () => {
  const said = await say([confirmation(randomUUID())], {
    confirmAddresses: async () => {
      await database
        .knex('ipam_outbox')
        .update({ attempts: 2, run_after: new Date(Date.now() + 60_000) });
      throw leaseEnded;
    },
  });
  expect(said).toEqual(['confirmAddresses']);
  expect(await database.knex('ipam_outbox').select('attempts')).toEqual([{ attempts: 2 }]);
});
