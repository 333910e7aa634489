import { ManualClock } from '@nexodus/clock';
import { type ConnectRequest, Hello } from '@nexodus/contracts/agent';
import { isRpcError, RpcError, Status } from '@nexodus/rpc';
import { expect, test } from 'vitest';
import { readHello } from './read-hello.ts';

async function* requests(...messages: ConnectRequest['message'][]): AsyncGenerator<ConnectRequest> {
  for (const message of messages) yield { message };
}

function read(value: Partial<Hello>): Promise<Hello> {
  const hello = Hello.fromPartial(value);
  return readHello(requests({ $case: 'hello', value: hello }), new ManualClock());
}

async function fieldsOf(refused: Promise<unknown>): Promise<string[]> {
  const error = await refused.catch((cause: unknown) => cause);
  expect(isRpcError(error, Status.INVALID_ARGUMENT)).toBe(true);
  const { violations = [] } = error instanceof RpcError ? error.details : {};
  return violations.map(({ field }) => field);
}

test('Hello is taken with a digest of its own memory', async () => {
  const request = Buffer.alloc(1_000_000, 7);
  const { viewDigest } = await read({ os: 'linux', viewDigest: request.subarray(8, 40) });
  expect(viewDigest.equals(Buffer.alloc(32, 7))).toBe(true);
  expect(viewDigest.buffer.byteLength).toBeLessThan(request.length);
});

test('texts that no device needs are refused by name', async () => {
  const long = 'x'.repeat(129);
  const texts = { vpcId: long, logIncarnation: long, agentVersion: long, os: long };
  expect(await fieldsOf(read({ ...texts, viewDigest: Buffer.alloc(33) }))).toEqual([
    'hello.vpc_id',
    'hello.log_incarnation',
    'hello.agent_version',
    'hello.os',
    'hello.view_digest',
  ]);
});

test('anything but Hello, and nothing, is refused', async () => {
  const clock = new ManualClock();
  const heartbeat = { $case: 'heartbeat', value: {} } as const;
  expect(await fieldsOf(readHello(requests(heartbeat), clock))).toEqual(['hello']);
  expect(await fieldsOf(readHello(requests(), clock))).toEqual(['hello']);
  const silent = { next: () => new Promise<never>(() => {}) };
  const refused = fieldsOf(readHello(silent, clock));
  clock.advance(10_000);
  expect(await refused).toEqual(['hello']);
});
