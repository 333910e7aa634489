import { constants } from 'node:http2';
import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import {
  AgentServiceDefinition,
  ConnectRequest,
  GoodbyeReason,
  ViewKind,
} from '@nexodus/contracts/agent';
import { bootstrapSchema, type Database, openDatabase } from '@nexodus/database';
import { startTestPostgres, type TestPostgres } from '@nexodus/embedded-postgres/testing';
import { startTestNats, type TestNats } from '@nexodus/messaging/testing';
import { isRpcError, Status } from '@nexodus/rpc';
import { openUnreadCall } from '@nexodus/rpc/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ChangeLog, createChangeLog } from '../database/change-log.ts';
import { initialSchema } from '../database/initial-schema.ts';
import type { NetworkMapSettings } from './network-map.ts';
import { TestAgent } from './test-agent.fixture.ts';
import {
  messagingInProcess,
  messagingOverNats,
  type TestMessaging,
} from './test-messaging.fixture.ts';
import { startTestReplica, type TestReplica } from './test-replica.fixture.ts';
import { TestVpc } from './test-vpc.fixture.ts';

let postgres: TestPostgres;
let nats: TestNats;
let database: Database;
let openMessaging: () => Promise<TestMessaging>;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  [postgres, nats] = await Promise.all([startTestPostgres(), startTestNats()]);
});

afterAll(() => Promise.all([postgres.stop(), nats.stop()]));

beforeEach(async () => {
  const connection = await postgres.createDatabase();
  await bootstrapSchema({ admin: connection, schema: 'apiserver', role: 'apiserver' });
  database = openDatabase({
    connection,
    role: 'apiserver',
    schema: 'apiserver',
    applicationName: 'test',
    clock: systemClock,
    random: Math.random,
    poolMax: 8,
  });
  await database.migrate([initialSchema]);
});

afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean();
  await database.close();
});

async function startReplica(
  settings: NetworkMapSettings = {},
  wrapLog: (log: ChangeLog) => ChangeLog = (log) => log,
): Promise<TestReplica> {
  const { bus, softState, close } = await openMessaging();
  const changeLog = wrapLog(createChangeLog(database, bus));
  const replica = await startTestReplica({ database, changeLog, bus, softState, settings });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= replica.stop().then(close));
  cleanups.push(stop);
  return { ...replica, stop };
}

async function createVpc(): Promise<TestVpc> {
  const { bus, close } = await openMessaging();
  cleanups.push(close);
  return new TestVpc(database, createChangeLog(database, bus)).create();
}

/** A VPC whose changes ring no doorbell. */
function createMuteVpc(): Promise<TestVpc> {
  const bus = { publish: () => false };
  return new TestVpc(database, createChangeLog(database, bus)).create();
}

function connect(replica: TestReplica, deviceId: string): TestAgent {
  const agent = new TestAgent(deviceId).open(replica.agents);
  cleanups.push(() => agent.abort());
  return agent;
}

async function everybodyAt(vpc: TestVpc, ...agents: TestAgent[]): Promise<void> {
  const head = await vpc.head();
  await eventually(() => agents.every(({ view }) => view?.revision === head));
}

async function deviceRow(id: string) {
  return database.knex('devices').where({ id }).first();
}

const inProcess = (): (() => Promise<TestMessaging>) =>
  messagingInProcess((close) => cleanups.push(close));

const messagings = [
  ['in process', inProcess],
  ['over NATS', () => messagingOverNats(nats.url)],
] as const;

describe.each(messagings)('the network map, with messages %s', (_name, createMessaging) => {
  beforeEach(() => {
    openMessaging = createMessaging();
  });

  test('devices of a group see each other, each with the same bytes as any other view of it', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const ids = [await vpc.addDevice('a'), await vpc.addDevice('b')];
    const [a, b] = ids.map((id) => connect(replica, id));
    await eventually(() => a!.hostnames.join() === 'b' && b!.hostnames.join() === 'a');
    const c = connect(replica, await vpc.addDevice('c'));
    const lonely = connect(replica, await vpc.addDevice('d', { isGrouped: false }));
    await eventually(() => [a, b, c].every((agent) => agent!.hostnames.length === 2));
    await everybodyAt(vpc, a!, b!, c, lonely);
    expect(lonely.hostnames).toEqual([]);
    const entryOfC = `peer/${c.deviceId}`;
    expect(a!.view?.entries.get(entryOfC)).toEqual(b!.view?.entries.get(entryOfC));
    expect(a!.intervals.map(({ kind }) => kind)).toEqual([ViewKind.SNAPSHOT, ViewKind.DELTA]);
  });

  test('a deleted device is hidden within a second and told so, while policy is down', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    const b = connect(replica, await vpc.addDevice('b'));
    await eventually(() => a.hostnames.join() === 'b' && b.hostnames.join() === 'a');
    replica.policy.isDown = true;
    await vpc.addDevice('c');
    await vpc.deleteDevice(b.deviceId);
    await eventually(() => a.hostnames.length === 0 && !b.isOpen, { timeoutMs: 1_000 });
    expect(b.goodbye).toBe(GoodbyeReason.DEVICE_DELETED);
    const last = a.intervals.at(-1)!;
    expect(last.from).toBe(last.to);
    replica.policy.isDown = false;
    await eventually(() => a.hostnames.join() === 'c');
    await everybodyAt(vpc, a);
  });

  test('a deleted device loses its stream within 2 s though it reads nothing of it', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const watcher = connect(replica, await vpc.addDevice('watcher'));
    const id = await vpc.addDevice('deaf');
    const hello = { message: { $case: 'hello' as const, value: { capability: 1 } } };
    const call = openUnreadCall({
      socketPath: replica.publicSocket,
      method: `/${AgentServiceDefinition.fullName}/Connect`,
      request: ConnectRequest.encode(ConnectRequest.fromPartial(hello)).finish(),
      metadata: { device: id },
    });
    cleanups.push(() => Promise.resolve(call.close()));
    await eventually(() => watcher.peerStates.get(id)?.online === true);
    const deletedAtMs = performance.now();
    await vpc.deleteDevice(id);
    expect(await call.ended).toBe(constants.NGHTTP2_CANCEL);
    expect(performance.now() - deletedAtMs).toBeLessThan(2_000);
  });

  test('a device that returns unchanged gets a bookmark only, and a snapshot after a change', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    await eventually(() => a.view !== undefined);
    await a.close();
    const { bookmarks, epoch } = a;
    a.open(replica.agents);
    await eventually(() => a.bookmarks > bookmarks);
    expect(a.intervals).toHaveLength(1);
    await a.close();
    const b = connect(replica, await vpc.addDevice('b'));
    await eventually(() => b.hostnames.join() === 'a');
    a.open(replica.agents);
    await eventually(() => a.hostnames.join() === 'b');
    expect(a.intervals.map(({ kind }) => kind)).toEqual([ViewKind.SNAPSHOT, ViewKind.SNAPSHOT]);
    expect(a.epoch).toBeGreaterThan(epoch);
  });

  test('a newer session ends the older one on another replica, whose farewell leaves the device online', async () => {
    const vpc = await createVpc();
    const [near, far] = [await startReplica(), await startReplica()];
    const id = await vpc.addDevice('a');
    const other = connect(near, await vpc.addDevice('b'));
    const older = connect(near, id);
    await eventually(() => older.view !== undefined && other.view !== undefined);
    const newer = connect(far, id);
    await eventually(() => !older.isOpen);
    expect(older.goodbye).toBe(GoodbyeReason.SUPERSEDED);
    await eventually(() => newer.view !== undefined);
    newer.announce('192.0.2.7:51820');
    await eventually(() => other.peerStates.get(id)?.endpoints[0]?.address === '192.0.2.7:51820');
    expect(other.peerStates.get(id)?.online).toBe(true);
    await eventually(() => near.networkMap.isOnline(vpc.id, id));
    await newer.close();
    await eventually(() => other.peerStates.get(id)?.online === false);
    expect(near.networkMap.isOnline(vpc.id, id)).toBe(false);
  });

  test('where a device may be reached is told to those who see it, and only there', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    const stranger = connect(replica, await vpc.addDevice('x', { isGrouped: false }));
    await eventually(() => a.view !== undefined && stranger.view !== undefined);
    a.announce('192.0.2.1:51820', '127.0.0.1:51820', 'nonsense');
    await eventually(
      () => replica.networkMap.deviceState(vpc.id, a.deviceId).endpoints.length === 1,
    );
    const late = connect(replica, await vpc.addDevice('b'));
    await eventually(() => late.peerStates.get(a.deviceId)?.online === true);
    expect(late.peerStates.get(a.deviceId)?.endpoints.map(({ address }) => address)).toEqual([
      '192.0.2.1:51820',
    ]);
    expect(stranger.peerStates.size).toBe(0);
    await eventually(() => a.peerStates.get(late.deviceId)?.online === true);
    await late.abort();
    await eventually(() => a.peerStates.get(late.deviceId)?.online === false);
  });

  test('a change that rang no doorbell arrives all the same', async () => {
    const vpc = await createMuteVpc();
    const replica = await startReplica({ pollMs: 100 });
    const a = connect(replica, await vpc.addDevice('a'));
    await eventually(() => a.view !== undefined);
    await vpc.addDevice('b');
    await eventually(() => a.hostnames.join() === 'b');
  });

  test('a replica that stops says so', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    await eventually(() => a.view !== undefined);
    await replica.stop();
    expect(a.goodbye).toBe(GoodbyeReason.DRAINING);
  });

  test('every stream ends at the last revision after a storm of changes, slow readers included', async () => {
    const vpc = await createVpc();
    const replicas = [await startReplica({ maxEntries: 3 }), await startReplica()];
    const ids = await Promise.all(
      Array.from({ length: 6 }, (_, index) => vpc.addDevice(`d${index}`)),
    );
    const agents = ids.map((id, index) => connect(replicas[index % 2]!, id));
    await eventually(() => agents.every(({ hostnames }) => hostnames.length === 5));
    const held = Promise.withResolvers<void>();
    agents[0]!.pause = held.promise;
    for (let round = 2n; round < 12n; round += 1n) {
      await Promise.all(ids.map((id) => vpc.rebind(id, round)));
      const passing = await vpc.addDevice(`passing-${round}`);
      await vpc.deleteDevice(passing);
    }
    held.resolve();
    await everybodyAt(vpc, ...agents);
    for (const agent of agents) {
      expect(agent.error).toBeUndefined();
      expect(agent.hostnames).toHaveLength(5);
    }
  });
});

describe('the network map', () => {
  beforeEach(() => {
    openMessaging = inProcess();
  });

  test('a device whose key expires is hidden at that time and told so', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    const b = connect(replica, await vpc.addDevice('b', { lifeMs: 3_000 }));
    await eventually(() => a.hostnames.join() === 'b' && b.hostnames.join() === 'a');
    replica.policy.isDown = true;
    await eventually(() => a.hostnames.length === 0 && !b.isOpen);
    expect(b.goodbye).toBe(GoodbyeReason.DEVICE_EXPIRED);
    b.open(replica.agents);
    await eventually(() => !b.isOpen);
    expect(isRpcError(b.error, Status.UNAUTHENTICATED, 'DEVICE_EXPIRED')).toBe(true);
    replica.policy.isDown = false;
    await vpc.renew(b.deviceId, 60_000);
    b.open(replica.agents);
    await eventually(() => a.hostnames.join() === 'b' && b.hostnames.join() === 'a');
  });

  test('a device that returns while policy is down learns who was deleted, also before it returned', async () => {
    const vpc = await createVpc();
    const first = await startReplica();
    const a = connect(first, await vpc.addDevice('a'));
    const ids = [await vpc.addDevice('b'), await vpc.addDevice('c'), await vpc.addDevice('d')];
    await eventually(() => a.hostnames.length === 3);
    await a.close();
    await vpc.deleteDevice(ids[0]!);
    await first.stop();
    const second = await startReplica();
    second.policy.isDown = true;
    a.open(second.agents);
    await eventually(() => a.hostnames.join() === 'c,d');
    await vpc.deleteDevice(ids[1]!);
    await eventually(() => a.hostnames.join() === 'd');
    second.policy.isDown = false;
    await everybodyAt(vpc, a);
    expect(a.hostnames).toEqual(['d']);
  });

  test('a device that returns to a replica that follows its VPC costs no read of the log', async () => {
    const vpc = await createVpc();
    let reads = 0;
    const replica = await startReplica({}, (log) => ({
      ...log,
      read: (...range) => {
        reads += 1;
        return log.read(...range);
      },
    }));
    const a = connect(replica, await vpc.addDevice('a'));
    await everybodyAt(vpc, a);
    await a.close();
    const { bookmarks } = a;
    const readsBefore = reads;
    a.open(replica.agents);
    await eventually(() => a.bookmarks > bookmarks);
    expect(reads).toBe(readsBefore);
  });

  test('a device that returns while policy is down learns who expired, also when others heard of it before', async () => {
    const vpc = await createVpc();
    const first = await startReplica();
    const a = connect(first, await vpc.addDevice('a'));
    const c = connect(first, await vpc.addDevice('c'));
    const b = connect(first, await vpc.addDevice('b', { lifeMs: 3_000 }));
    await eventually(() => a.hostnames.join() === 'b,c' && c.hostnames.join() === 'a,b');
    await Promise.all([a.close(), c.close()]);
    await eventually(() => b.goodbye === GoodbyeReason.DEVICE_EXPIRED);
    await first.stop();
    const second = await startReplica();
    second.policy.isDown = true;
    c.open(second.agents);
    await eventually(() => c.hostnames.join() === 'a');
    a.open(second.agents);
    await eventually(() => a.hostnames.join() === 'c');
  });

  test('policy that has compacted an interval is asked for everything', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    await eventually(() => a.view !== undefined);
    replica.policy.isForgetful = true;
    replica.policy.isDown = true;
    await vpc.addDevice('b');
    await vpc.addDevice('c');
    await eventually(async () => replica.policy.headOf(vpc.id) === (await vpc.head()));
    replica.policy.isDown = false;
    await eventually(() => a.hostnames.join() === 'b,c');
    expect(a.intervals.at(-1)?.kind).toBe(ViewKind.DELTA);
  });

  test('a restored log replaces what devices hold, also past the revision that they held', async () => {
    const vpc = await createVpc();
    const replica = await startReplica({ pollMs: 50 });
    const a = connect(replica, await vpc.addDevice('a'));
    const b = await vpc.addDevice('b');
    await vpc.rebind(b, 2n);
    await vpc.rebind(b, 3n);
    await everybodyAt(vpc, a);
    const incarnation = a.view?.logIncarnation;
    await vpc.restore(2n);
    await vpc.addDevice('other');
    await vpc.addDevice('another');
    await vpc.addDevice('third');
    await eventually(() => a.hostnames.join() === 'another,b,other,third');
    await eventually(() => a.view?.logIncarnation !== incarnation);
    await everybodyAt(vpc, a);
  });

  test('a replica that fell behind what the log keeps reads the VPC anew', async () => {
    const vpc = await createMuteVpc();
    const isCut = { value: false };
    const replica = await startReplica({ pollMs: 50 }, (log) => ({
      ...log,
      heads: () => (isCut.value ? Promise.reject(new Error('cut off')) : log.heads()),
    }));
    const a = connect(replica, await vpc.addDevice('a'));
    await eventually(() => a.view !== undefined);
    isCut.value = true;
    await vpc.addDevice('b');
    await vpc.addDevice('c');
    await database.knex('vpc_changes').delete();
    isCut.value = false;
    await eventually(() => a.hostnames.join() === 'b,c');
    await everybodyAt(vpc, a);
  });

  test('an interval carries the trace of the change that it brings', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const vpc = await createVpc();
    const replica = await startReplica({}, (log) => ({
      ...log,
      read: async (...range) =>
        (await log.read(...range)).map(({ change }) => ({ change, traceparent })),
    }));
    const a = connect(replica, await vpc.addDevice('a'));
    await eventually(() => a.view !== undefined);
    await vpc.addDevice('b');
    await eventually(() => a.hostnames.join() === 'b');
    expect(a.intervals.at(-1)?.traceparent).toBe(traceparent);
  });

  test('a device that claims a revision above the head gets a snapshot', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    await eventually(() => a.view !== undefined);
    await a.close();
    a.view = { ...a.view!, revision: 99n };
    a.open(replica.agents);
    await everybodyAt(vpc, a);
    expect(a.intervals).toHaveLength(2);
  });

  test('a device that holds something else than it was told gets a snapshot', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    await everybodyAt(vpc, a);
    a.isWrong = true;
    await vpc.addDevice('b');
    await eventually(() => a.intervals.length === 3);
    const { SNAPSHOT, DELTA } = ViewKind;
    expect(a.intervals.map(({ kind }) => kind)).toEqual([SNAPSHOT, DELTA, SNAPSHOT]);
    expect(a.hostnames).toEqual(['b']);
  });

  test('a stream that says nothing is over', async () => {
    const vpc = await createVpc();
    const replica = await startReplica({ silenceMs: 400, heartbeatMs: 60_000 });
    const a = connect(replica, await vpc.addDevice('a'));
    await eventually(() => a.view !== undefined);
    await eventually(() => !a.isOpen);
    expect([a.goodbye, a.error]).toEqual([undefined, undefined]);
    await eventually(() => !replica.networkMap.isOnline(vpc.id, a.deviceId));
  });

  test('what a device applied is kept, of its newest session only', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    await vpc.addDevice('b');
    const head = await vpc.head();
    await eventually(async () => (await deviceRow(a.deviceId)).applied_revision === head);
    const { last_seen_at: seenAt } = await deviceRow(a.deviceId);
    expect(Math.abs(seenAt.getTime() - Date.now())).toBeLessThan(10_000);
  });

  test('a device is seen also when a session that never began took the newest epoch', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const a = connect(replica, await vpc.addDevice('a'));
    const head = await vpc.head();
    await eventually(async () => (await deviceRow(a.deviceId)).applied_revision === head);
    await database
      .knex('devices')
      .where({ id: a.deviceId })
      .update({ last_seen_at: null })
      .increment('session_epoch', 1);
    await vpc.addDevice('b');
    await eventually(async () => (await deviceRow(a.deviceId)).last_seen_at !== null);
    expect((await deviceRow(a.deviceId)).applied_revision).toBe(head);
  });

  test('a deleted device, and who is no device, open no stream', async () => {
    const vpc = await createVpc();
    const replica = await startReplica();
    const id = await vpc.addDevice('a');
    await vpc.deleteDevice(id);
    const a = connect(replica, id);
    await eventually(() => !a.isOpen);
    expect(isRpcError(a.error, Status.UNAUTHENTICATED, 'DEVICE_DELETED')).toBe(true);
  });

  test('internal readers hear of VPCs that come and go, and of every revision', async () => {
    const replica = await startReplica({ pollMs: 50 });
    const early = await createVpc();
    const late = await createVpc();
    const id = await early.addDevice('a');
    await early.rebind(id, 2n);
    await eventually(() => replica.policy.headOf(early.id) === 3n);
    await eventually(() => replica.policy.headOf(late.id) === 1n);
    await late.delete();
    await eventually(() => replica.policy.vpcIds.join() === early.id);
    const beats = (): number =>
      replica.policy.events.filter(({ event }) => event?.$case === 'heartbeat').length;
    const before = beats();
    await eventually(() => beats() > before);
  });
});
