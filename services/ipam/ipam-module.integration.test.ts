import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock, systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import { IpamServiceDefinition } from '@nexodus/contracts/ipam';
import { bootstrapSchema, type Database, openDatabase } from '@nexodus/database';
import { startTestPostgres, type TestPostgres } from '@nexodus/embedded-postgres/testing';
import { type RunningParts, startParts } from '@nexodus/lifecycle';
import {
  createRpcClient,
  openChannel,
  RpcError,
  type RpcClient,
  type RunningRpcServer,
  startRpcServer,
  Status,
} from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { createNoopMeter } from '@opentelemetry/api';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ipamConfig } from './ipam-config.ts';
import { createIpamModule } from './ipam-module.ts';

let postgres: TestPostgres;
let database: Database;
let folder: string;
let parts: RunningParts;
let server: RunningRpcServer;
let channel: ReturnType<typeof openChannel>;
let client: RpcClient<typeof IpamServiceDefinition>;
let poolId: string;
const clock = new ManualClock(1_700_000_000_000);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nexodus-ipam-'));
  postgres = await startTestPostgres();
  const admin = await postgres.createDatabase();
  await bootstrapSchema({ admin, schema: 'ipam', role: 'ipam' });
  database = openDatabase({
    connection: admin,
    schema: 'ipam',
    role: 'ipam',
    applicationName: 'ipam test',
    clock: systemClock,
    random: Math.random,
  });
  const module = createIpamModule({
    config: ipamConfig.parse({}),
    database,
    clock,
    logger: silentLogger,
    meter: createNoopMeter(),
  });
  parts = await startParts(module.parts);
  await module.checkReady();
  const address = `unix:${join(folder, 'ipam.sock')}`;
  server = await startRpcServer({
    surface: 'internal',
    address,
    services: module.internalServices,
    authenticate: () => Promise.resolve({ service: 'apiserver' }),
  });
  channel = openChannel({ address });
  client = createRpcClient(IpamServiceDefinition, channel);
});

afterAll(async () => {
  channel.close();
  await server.stop();
  await parts.stop();
  await database.close();
  await postgres.stop();
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  poolId = randomUUID();
  await client.createPool({ poolId, ipv4Prefix: '10.0.0.0/29', ipv6Prefix: 'fd00::/64' });
});

async function refused(call: Promise<unknown>): Promise<[string | undefined, string | undefined]> {
  try {
    await call;
  } catch (error) {
    if (error instanceof RpcError) return [Status[error.code], error.details.reason];
    throw error;
  }
  return expect.unreachable();
}

test('an address is reserved, confirmed, listed and released exactly once', async () => {
  const owner = { poolId, ownerId: randomUUID() };
  const given = { ipv4Address: '10.0.0.1', ipv6Address: 'fd00::1' };
  expect(await client.reserveAddresses(owner)).toEqual({ ...given, confirmed: false });
  await client.confirmAddresses(owner);
  await client.confirmAddresses(owner);
  expect(await client.reserveAddresses(owner)).toEqual({ ...given, confirmed: true });
  expect(await client.listAddresses({ poolId })).toEqual({
    assignments: [{ ownerId: owner.ownerId, ...given, confirmed: true }],
    nextPageToken: '',
  });
  expect(await client.getPool({ poolId })).toEqual({
    ipv4Prefix: '10.0.0.0/29',
    ipv6Prefix: 'fd00::/64',
    used: 1n,
    freeIpv4: 5n,
  });
  const releases = await Promise.all(
    Array.from({ length: 10 }, () => client.releaseAddresses(owner)),
  );
  expect(releases.filter(({ released }) => released)).toHaveLength(1);
  expect(await client.getPool({ poolId })).toMatchObject({ used: 0n, freeIpv4: 5n });
  expect(await client.listAddresses({ poolId })).toEqual({ assignments: [], nextPageToken: '' });
});

test('a caller that crashed between reserve and confirm leaves nothing behind', async () => {
  for (let count = 0; count < 6; count += 1)
    await client.reserveAddresses({ poolId, ownerId: randomUUID() });
  const late = { poolId, ownerId: randomUUID() };
  expect(await refused(client.reserveAddresses(late))).toEqual(['RESOURCE_EXHAUSTED', 'POOL_FULL']);
  clock.advance(60_000);
  expect(await client.getPool({ poolId })).toMatchObject({ used: 0n, freeIpv4: 6n });
  await eventually(async () => {
    const rows = await database.knex('holdings').where({ pool_id: poolId });
    return rows.length === 0;
  });
  expect((await client.reserveAddresses(late)).ipv4Address).toBe('10.0.0.1');
});

test('pages join without gap or overlap', async () => {
  const owners = Array.from({ length: 5 }, () => randomUUID());
  for (const ownerId of owners) await client.reserveAddresses({ poolId, ownerId });
  const seen: string[] = [];
  let pageToken = '';
  do {
    const page = await client.listAddresses({ poolId, pageSize: 2, pageToken });
    seen.push(...page.assignments.map(({ ownerId }) => ownerId));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(seen).toEqual(owners);
});

describe('refusals', () => {
  test('name what is wrong with a pool', async () => {
    const pool = { poolId, ipv4Prefix: '10.0.0.0/29', ipv6Prefix: 'fd00::/64' };
    await client.createPool(pool);
    expect(await refused(client.createPool({ ...pool, ipv4Prefix: '10.0.0.0/24' }))).toEqual([
      'ALREADY_EXISTS',
      'POOL_HAS_OTHER_PREFIXES',
    ]);
    const wrong = client.createPool({ poolId, ipv4Prefix: '10.0.0.1/24', ipv6Prefix: 'ff00::/64' });
    await expect(wrong).rejects.toMatchObject({
      code: Status.INVALID_ARGUMENT,
      details: { violations: [{ field: 'ipv4_prefix' }, { field: 'ipv6_prefix' }] },
    });
    expect(await refused(client.getPool({ poolId: randomUUID() }))).toEqual([
      'NOT_FOUND',
      undefined,
    ]);
    await client.deletePool({ poolId });
    await client.deletePool({ poolId });
  });

  test('name what is wrong with an address', async () => {
    const holder = { poolId, ownerId: randomUUID(), ipv4Address: '10.0.0.2', ipv6Address: '' };
    await client.reserveAddresses(holder);
    const other = { ...holder, ownerId: randomUUID() };
    expect(await refused(client.reserveAddresses(other))).toEqual([
      'ALREADY_EXISTS',
      'ADDRESS_TAKEN',
    ]);
    expect(await refused(client.reserveAddresses({ ...holder, ipv4Address: '10.0.0.3' }))).toEqual([
      'ALREADY_EXISTS',
      'OWNER_HOLDS_OTHER_ADDRESS',
    ]);
    const unusable = ['10.0.0.0', '10.0.0.7', '10.1.0.1', 'fd00::1', 'x', '10.0.0.02'];
    for (const ipv4Address of unusable) {
      const call = client.reserveAddresses({ ...other, ipv4Address });
      expect((await refused(call))[0]).toBe('INVALID_ARGUMENT');
    }
    await client.confirmAddresses(holder);
    expect(await refused(client.deletePool({ poolId }))).toEqual([
      'FAILED_PRECONDITION',
      'POOL_IN_USE',
    ]);
    expect(await refused(client.confirmAddresses(other))).toEqual([
      'FAILED_PRECONDITION',
      'LEASE_ENDED',
    ]);
  });

  test.each([
    { poolId: 'x' },
    { ownerId: '' },
    { ownerId: '0190ABCD-0000-7000-8000-000000000000' },
    { lease: { seconds: 0n, nanos: 0 } },
    { lease: { seconds: -1n, nanos: 0 } },
    { lease: { seconds: 601n, nanos: 0 } },
  ])('of a malformed request: %o', async (wrong) => {
    const call = client.reserveAddresses({ poolId, ownerId: randomUUID(), ...wrong });
    expect((await refused(call))[0]).toBe('INVALID_ARGUMENT');
  });
});
