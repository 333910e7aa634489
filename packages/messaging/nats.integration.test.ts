import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import { jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { createNatsSoftStateStore } from './create-soft-state-store.ts';
import { describeMessageBus } from './message-bus.contract.ts';
import { createNatsMessageBus } from './nats-message-bus.ts';
import { openNats } from './nats-link.ts';
import type { NatsLink, NatsOptions } from './nats-link.ts';
import { describeSoftStateStore } from './soft-state-store.contract.ts';
import { SoftStateUnavailableError } from './soft-state-store.ts';
import type { SoftStateChange, SoftStateStore } from './soft-state-store.ts';
import { startTestNats } from './testing.ts';
import type { TestNats } from './testing.ts';

let server: TestNats;
let directory: string;
const links: NatsLink[] = [];

beforeAll(async () => {
  server = await startTestNats();
  directory = await mkdtemp(join(tmpdir(), 'nexodus-nats-'));
});

afterEach(() => Promise.all(links.splice(0).map((link) => link.close())));

afterAll(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

function open(url: string, options: Partial<NatsOptions> = {}): NatsLink {
  const link = openNats({
    servers: [url],
    name: 'test',
    clock: systemClock,
    random: Math.random,
    ...options,
  });
  links.push(link);
  return link;
}

async function connected(url: string, options: Partial<NatsOptions> = {}): Promise<NatsLink> {
  const link = open(url, options);
  await eventually(() => link.status === 'connected');
  return link;
}

function storeOn(link: NatsLink, bucket: string, rereadMs = 30_000): SoftStateStore {
  return createNatsSoftStateStore(link, {
    clock: systemClock,
    random: Math.random,
    bucket,
    rereadMs,
  });
}

describeMessageBus('the NATS bus', async () => {
  const near = await connected(server.url);
  const far = await connected(server.url);
  const ends = [createNatsMessageBus(near), createNatsMessageBus(far)] as const;
  const stop = async (): Promise<void> => {
    await Promise.all(ends.map((bus) => bus.close()));
  };
  return { near: ends[0], far: ends[1], stop };
});

describeSoftStateStore(
  'the NATS store',
  async () => {
    const options = {
      servers: [server.url],
      name: 'test',
      clock: systemClock,
      random: Math.random,
    };
    const ends = [openNats(options), openNats(options)] as const;
    await eventually(() => ends.every((link) => link.status === 'connected'));
    return {
      near: storeOn(ends[0], 'contract'),
      far: storeOn(ends[1], 'contract'),
      stop: async () => {
        await Promise.all(ends.map((link) => link.close()));
      },
    };
  },
  20,
);

describe('a NATS server that goes and comes', () => {
  test('subscriptions made before it is there and while it is away work, and are told that they may have missed something', async () => {
    const own = await startTestNats();
    await own.kill();
    const link = open(own.url);
    const bus = createNatsMessageBus(link);
    const seen: string[] = [];
    const onGap = ({ reason }: { reason: string }): void => void seen.push(reason);
    bus.subscribe('early', (message) => void seen.push(message.subject), { onGap });
    expect(bus.publish('early', new Uint8Array())).toBe(false);
    expect(await bus.flush()).toBe(false);
    expect(bus.droppedPublishes).toBe(1);

    await own.restart();
    await eventually(() => bus.status === 'connected');
    expect(bus.publish('early', new Uint8Array())).toBe(true);
    await eventually(() => seen.length === 2);

    const statuses: string[] = [];
    bus.onStatus((status) => statuses.push(status));
    await own.kill();
    await eventually(() => bus.status === 'disconnected');
    bus.subscribe('late', (message) => void seen.push(message.subject));
    await own.restart();
    await eventually(() => bus.status === 'connected');
    expect(statuses).toEqual(['disconnected', 'connected']);
    bus.publish('early', new Uint8Array());
    bus.publish('late', new Uint8Array());
    await eventually(() => seen.length === 5);
    expect(seen.toSorted()).toEqual(['early', 'early', 'late', 'reconnect', 'reconnect']);
    await bus.close();
    await own.stop();
  });

  test('a watch tells what changed while it was cut off, and writes are refused meanwhile', async () => {
    const own = await startTestNats();
    const link = await connected(own.url);
    const store = storeOn(link, 'cut');
    const entry = { key: 'v.1', epoch: 1n, sequence: 1n, leaseUntil: 1, value: new Uint8Array() };
    await store.put(entry);
    const controller = new AbortController();
    const seen: SoftStateChange[] = [];
    const watching = (async () => {
      for await (const change of store.watch('v', controller.signal)) seen.push(change);
    })();
    await eventually(() => seen.length === 1);

    await own.kill();
    await eventually(() => link.status === 'disconnected');
    await expect(store.put({ ...entry, sequence: 2n })).rejects.toThrow(SoftStateUnavailableError);
    await expect(store.list('v')).rejects.toThrow(SoftStateUnavailableError);
    await own.restart();
    await eventually(() => link.status === 'connected');
    await eventually(async () => (await store.put({ ...entry, sequence: 3n })) === 'stored');
    await eventually(() => seen.length === 2);
    expect(seen[1]).toMatchObject({ kind: 'put', entry: { key: 'v.1', sequence: 3n } });
    controller.abort();
    await watching;
    await own.stop();
  });

  test('closing while it is away does not wait for it', async () => {
    const own = await startTestNats();
    await own.kill();
    const link = open(own.url);
    const bus = createNatsMessageBus(link);
    await bus.close();
    await link.close();
    expect(link.status).toBe('closed');
    await own.stop();
  });
});

describe('the bucket', () => {
  test('bytes of somebody else are no entry and do not stop others from being read', async () => {
    const store = storeOn(await connected(server.url), 'foreign');
    await store.put({
      key: 'v.1',
      epoch: 1n,
      sequence: 1n,
      leaseUntil: 1,
      value: new Uint8Array(),
    });
    const connection = await connect({ servers: server.url });
    const kv = await new Kvm(jetstream(connection)).open('foreign');
    await kv.put('v.2', 'not an envelope');
    await connection.close();
    expect((await store.list('v')).map(({ key }) => key)).toEqual(['v.1']);
    expect(await store.get('v.2')).toBeUndefined();
  });

  test('a bucket that was removed is made again', async () => {
    const store = storeOn(await connected(server.url), 'removed');
    const entry = { key: 'v.1', epoch: 1n, sequence: 1n, leaseUntil: 1, value: new Uint8Array() };
    await store.put(entry);
    const connection = await connect({ servers: server.url });
    await (await new Kvm(jetstream(connection)).open('removed')).destroy();
    await connection.close();
    await eventually(async () => (await store.put(entry)) === 'stored');
    expect(await store.get('v.1')).toEqual(entry);
  });
});

describe('credentials and TLS', () => {
  test('the right password connects, a wrong one is reported and tried again with the file as it is then', async () => {
    const own = await startTestNats('authorization { user: "nexodus", password: "right" }');
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, 'wrong\n', { mode: 0o600 });
    const errors: unknown[] = [];
    const credentials = { kind: 'password', user: 'nexodus', passwordFile } as const;
    const link = open(own.url, { credentials, onError: (error) => errors.push(error) });
    await eventually(() => errors.length > 0);
    expect(link.status).toBe('connecting');
    expect(errors.map(String).join()).not.toContain('wrong');
    await writeFile(passwordFile, 'right\n', { mode: 0o600 });
    await eventually(() => link.status === 'connected');
    await link.close();
    await own.stop();
  });

  test('with TLS asked for, only a server whose certificate the CA has signed will do', async () => {
    makeCertificate('server');
    makeCertificate('stranger');
    const tls = `tls { cert_file: "${join(directory, 'server.pem')}", key_file: "${join(directory, 'server.key')}" }`;
    const own = await startTestNats(tls);
    const plain = await failureOf(server.url, 'server');
    expect(plain).toBeInstanceOf(Error);
    expect(await failureOf(own.url, 'stranger')).toBeInstanceOf(Error);
    await connected(own.url, { tls: { caFile: join(directory, 'server.pem') } });
    await Promise.all(links.splice(0).map((link) => link.close()));
    await own.stop();
  });
});

async function failureOf(url: string, ca: string): Promise<unknown> {
  const failure = Promise.withResolvers<unknown>();
  const link = open(url, {
    tls: { caFile: join(directory, `${ca}.pem`) },
    onError: failure.resolve,
  });
  const error = await failure.promise;
  expect(link.status).toBe('connecting');
  return error;
}

function makeCertificate(name: string): void {
  const files = ['-keyout', join(directory, `${name}.key`), '-out', join(directory, `${name}.pem`)];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  execFileSync('openssl', ['req', '-x509', '-days', '2', ...key, ...files, ...subject], {
    stdio: 'ignore',
  });
}
