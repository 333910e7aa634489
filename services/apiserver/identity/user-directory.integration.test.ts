import { randomBytes } from 'node:crypto';
import { systemClock } from '@nexodus/clock';
import type { Database } from '@nexodus/database';
import { createInProcessMessageBus } from '@nexodus/messaging';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBootstrap } from '../bootstrap.ts';
import { createChangeLog } from '../database/change-log.ts';
import { startTestDatabase, type TestDatabase } from '../database/test-database.fixture.ts';
import { putIpamOrder } from '../ipam/ipam-outbox.ts';
import { createAuditLog } from './audit-log.ts';
import { createUserDirectory, type UserDirectory } from './user-directory.ts';

const bus = createInProcessMessageBus();
let testDatabase: TestDatabase;
let database: Database;
let directory: UserDirectory;
beforeAll(async () => {
  testDatabase = await startTestDatabase();
  ({ database } = testDatabase);
  const part = { name: 'unused', start: async () => {}, stop: async () => {} };
  directory = createUserDirectory({
    database,
    changeLog: createChangeLog(database, bus),
    ipamOutbox: { put: putIpamOrder, part },
    audit: createAuditLog(database),
    clock: systemClock,
    randomBytes,
  });
});
afterAll(async () => {
  await testDatabase?.stop();
  await bus.close();
});

test('any number of people who are called alike log in, each with an organization', async () => {
  const people = Array.from({ length: 30 }, (_unused, index) => ({
    issuer: 'https://issuer.invalid',
    subject: String(index),
    email: `anna@company-${index}.example`,
    emailVerified: true,
    displayName: 'Anna',
  }));
  const before = await database.knex('organizations').pluck('id');
  const callers = await Promise.all(people.map((person) => directory.login(person, '192.0.2.1')));
  expect(callers.map((caller) => caller.grants.length)).toEqual(people.map(() => 1));
  const names = await database.knex('organizations').whereNotIn('id', before).pluck('name');
  expect(names).toContain('anna');
  expect(new Set(names).size).toBe(30);
});

test('of two first starts at once one makes what both find', async () => {
  const bootstrap = await openBootstrap(database);
  const seed = {
    organizationName: 'demo',
    owner: { issuer: 'i', subject: 'demo', email: 'demo@example.com', displayName: 'Demo' },
    serviceAccount: { name: 'bootstrap', publicKey: randomBytes(32) },
  };
  const [first, second] = await Promise.all([bootstrap.ensure(seed), bootstrap.ensure(seed)]);
  expect(second).toEqual(first);
});
