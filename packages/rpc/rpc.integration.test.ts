import { mkdtempSync, rmSync } from 'node:fs';
import { constants } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TokenServiceDefinition } from '@nexodus/contracts/api';
import { ChangeServiceDefinition, WatchVpcsRequest } from '@nexodus/contracts/event';
import { IpamServiceDefinition, type IpamServiceImplementation } from '@nexodus/contracts/ipam';
import { NexdServiceDefinition } from '@nexodus/contracts/nexd';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRpcClient, type RpcClient } from './client.ts';
import { createInMemoryClient } from './in-memory-client.ts';
import { invalidArgument, RpcError, unauthenticated } from './rpc-error.ts';
import { type IncomingCall, type RunningRpcServer, startRpcServer } from './server.ts';
import { createBinder } from './surface.ts';
import { openUnreadCall } from './testing.ts';
import { openChannel } from './transport.ts';
import { Status } from 'nice-grpc';

type Ipam = Partial<IpamServiceImplementation<{ identity: string }>>;
type IpamClient = RpcClient<typeof IpamServiceDefinition>;

const bind = createBinder<'internal', string>('internal');
const unused = (): Promise<never> =>
  Promise.reject(new RpcError(Status.UNIMPLEMENTED, 'not used here'));
const complete = (part: Ipam): IpamServiceImplementation<{ identity: string }> => ({
  createPool: unused,
  deletePool: unused,
  reserveAddresses: unused,
  confirmAddresses: unused,
  releaseAddresses: unused,
  getPool: unused,
  listAddresses: unused,
  ...part,
});

let folder: string;
const stops: (() => Promise<void> | void)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nexodus-rpc-'));
});
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
  rmSync(folder, { recursive: true, force: true });
});

async function serve(
  part: Ipam,
  authenticate: (call: IncomingCall) => Promise<string> = () => Promise.resolve('caller'),
): Promise<{ client: IpamClient; server: RunningRpcServer; faults: unknown[] }> {
  const faults: unknown[] = [];
  const address = `unix:${join(folder, `${stops.length}.sock`)}`;
  const server = await startRpcServer({
    surface: 'internal',
    address,
    services: [bind(IpamServiceDefinition, complete(part))],
    authenticate,
    onCall: ({ fault }) => fault !== undefined && faults.push(fault),
  });
  const channel = openChannel({ address });
  stops.push(
    () => server.stop(),
    () => channel.close(),
  );
  return { client: createRpcClient(IpamServiceDefinition, channel), server, faults };
}

async function caught(promise: Promise<unknown>): Promise<RpcError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof RpcError) return error;
    throw error;
  }
  return expect.unreachable();
}

describe('errors', () => {
  test('arrive with the code, message and details that were thrown', async () => {
    const thrown = new RpcError(Status.RESOURCE_EXHAUSTED, 'the pool is full', {
      reason: 'POOL_FULL',
      metadata: { pool: 'a' },
      violations: [{ field: 'pool_id', description: 'is full' }],
      resource: { kind: 'pool', name: 'a' },
      retryAfterMs: 1_500,
    });
    const { client } = await serve({ getPool: () => Promise.reject(thrown) });
    const error = await caught(client.getPool({}));
    expect(error.code).toBe(Status.RESOURCE_EXHAUSTED);
    expect(error.message).toBe('the pool is full');
    expect(error.details).toEqual(thrown.details);
  });

  test('what is not an RpcError arrives as a fixed text and is reported to this side only', async () => {
    const fault = new Error('password=hunter2');
    const { client, faults } = await serve({ getPool: () => Promise.reject(fault) });
    const error = await caught(client.getPool({}));
    expect(error.code).toBe(Status.INTERNAL);
    expect(JSON.stringify([error.message, error.details])).not.toContain('hunter2');
    expect(faults).toEqual([fault]);
  });

  test('a refusal by authentication keeps the handler from running', async () => {
    const { client } = await serve({ getPool: () => expect.unreachable() }, () =>
      Promise.reject(unauthenticated('NO_TOKEN', 'log in first')),
    );
    expect((await caught(client.getPool({}))).details.reason).toBe('NO_TOKEN');
  });
});

describe('deadlines', () => {
  test('a call that takes too long ends with DEADLINE_EXCEEDED', async () => {
    const { client } = await serve({ getPool: () => new Promise(() => {}) });
    expect((await caught(client.getPool({}, { timeoutMs: 50 }))).code).toBe(
      Status.DEADLINE_EXCEEDED,
    );
  });

  test('a handler passes on less time than it was given', async () => {
    const given: number[] = [];
    const inner = await serve({
      getPool: (_request, context) => {
        given.push(Number(context.metadata.get('nexodus-timeout-ms')));
        return Promise.resolve({});
      },
    });
    const outer = await serve({ getPool: (request) => inner.client.getPool(request) });
    await outer.client.getPool({}, { timeoutMs: 3_000 });
    expect(given[0]).toBeLessThan(3_000);
    expect(given[0]).toBeGreaterThan(0);
  });
});

describe('surfaces', () => {
  test('a service of another surface is refused', () => {
    const binding = (): unknown =>
      // @ts-expect-error the daemon's own API does not belong on an internal server, and does not compile there
      bind(NexdServiceDefinition, {});
    expect(binding).toThrow('does not belong');
  });

  test('a network address without TLS is refused', async () => {
    const starting = startRpcServer({
      surface: 'internal',
      address: '127.0.0.1:0',
      services: [],
      authenticate: () => Promise.resolve('caller'),
    });
    await expect(starting).rejects.toThrow('needs TLS');
    expect(() => openChannel({ address: '127.0.0.1:1' })).toThrow('needs TLS');
  });
});

/** Serves a stream that the handler wants to end within the grace; resolves `left` when its handler has. */
async function serveStream(graceMs: number, messages: number) {
  const socketPath = join(folder, 'stream.sock');
  const left = Promise.withResolvers<AbortSignal>();
  const server = await startRpcServer({
    surface: 'internal',
    address: `unix:${socketPath}`,
    services: [
      bind(ChangeServiceDefinition, {
        async *watchVpcs(_request, { hangUpAfter, signal }) {
          try {
            hangUpAfter(graceMs);
            for (let index = 0; index < messages; index += 1) yield {};
          } finally {
            left.resolve(signal);
          }
        },
      }),
    ],
    authenticate: () => Promise.resolve('caller'),
  });
  stops.push(() => server.stop(0));
  return { socketPath, left: left.promise };
}

describe('a call whose client reads nothing', () => {
  const method = `/${ChangeServiceDefinition.fullName}/WatchVpcs`;
  const request = WatchVpcsRequest.encode(WatchVpcsRequest.fromPartial({})).finish();

  test.each([
    ['stands still at what it yields', Infinity],
    ['has said everything', 1],
  ])('is cut after its grace when its handler %s', async (_state, messages) => {
    const { socketPath, left } = await serveStream(50, messages);
    const call = openUnreadCall({ socketPath, method, request, isOnlyRequest: true });
    stops.push(() => call.close());
    expect(await call.ended).toBe(constants.NGHTTP2_CANCEL);
    expect((await left).aborted).toBe(messages === Infinity);
  });

  test('is not cut when the client takes it within the grace', async () => {
    const { socketPath } = await serveStream(20_000, 100);
    const channel = openChannel({ address: `unix:${socketPath}` });
    stops.push(() => channel.close());
    const client = createRpcClient(ChangeServiceDefinition, channel);
    let count = 0;
    for await (const _message of client.watchVpcs({})) count += 1;
    expect(count).toBe(100);
  });
});

test('stopping cuts calls that do not end within the grace', async () => {
  const { client, server } = await serve({ getPool: () => new Promise(() => {}) });
  const call = caught(client.getPool({}));
  await expect.poll(() => server.health.getStatus()).toBe('healthy');
  const stopping = server.stop(50);
  expect((await call).code).not.toBe(Status.OK);
  await stopping;
});

test('an in-memory client sees what a client on the wire sees', async () => {
  const implementation = complete({
    getPool: ({ poolId }, { identity }) =>
      Promise.resolve({ ipv4Prefix: `${identity}:${poolId}`, used: 3n }),
  });
  const client = createInMemoryClient(IpamServiceDefinition, implementation, { identity: 'me' });
  expect(await client.getPool({ poolId: 'p' })).toEqual({
    ipv4Prefix: 'me:p',
    ipv6Prefix: '',
    used: 3n,
    freeIpv4: 0n,
  });
  const error = await caught(
    createInMemoryClient(
      IpamServiceDefinition,
      complete({
        getPool: () =>
          Promise.reject(invalidArgument([{ field: 'pool_id', description: 'is empty' }])),
      }),
      { identity: 'me' },
    ).getPool({}),
  );
  expect(error.message).toBe('pool_id: is empty');
});

test('the public server reads no request that is larger than any of ours', async () => {
  const bindPublic = createBinder<'public', string>('public');
  const address = `unix:${join(folder, 'public.sock')}`;
  const server = await startRpcServer({
    surface: 'public',
    address,
    services: [bindPublic(TokenServiceDefinition, { exchangeAssertion: unused })],
    authenticate: () => Promise.resolve('caller'),
  });
  const channel = openChannel({ address });
  stops.push(
    () => server.stop(),
    () => channel.close(),
  );
  const client = createRpcClient(TokenServiceDefinition, channel);
  const codeFor = async (bytes: number): Promise<Status | undefined> => {
    const error = await client
      .exchangeAssertion({ assertion: 'x'.repeat(bytes) })
      .catch((thrown: unknown) => thrown);
    return error instanceof RpcError ? error.code : undefined;
  };
  expect(await codeFor(200 * 1024)).toBe(Status.UNIMPLEMENTED);
  expect(await codeFor(300 * 1024)).toBe(Status.RESOURCE_EXHAUSTED);
});
