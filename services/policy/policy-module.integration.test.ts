import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import {
  ChangeServiceDefinition,
  type WatchVpcsResponse,
  type VpcSnapshot,
} from '@nexodus/contracts/event';
import {
  type CompileResponse,
  PolicyServiceDefinition,
  PrincipalKind,
} from '@nexodus/contracts/policy';
import { type RunningParts, startParts } from '@nexodus/lifecycle';
import {
  type BoundService,
  createBinder,
  createRpcClient,
  openChannel,
  RpcError,
  type RpcClient,
  type ServiceIdentity,
  startRpcServer,
  Status,
} from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { createNoopMeter } from '@opentelemetry/api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { anywhere, device, fromGroup, group } from './core/testing/resource-images.ts';
import { policyConfig } from './policy-config.ts';
import { createPolicyModule } from './policy-module.ts';

const logIncarnation = 'log-1';
const vpcId = 'v';
const g = group('g', { inbound: [fromGroup('g')], outbound: anywhere });
const a = device('a', { host: 1, groups: ['g'] });
const b = device('b', { host: 2, groups: ['g'] });
const pair = { firstDeviceId: 'a', secondDeviceId: 'b' };

let folder: string;
let client: RpcClient<typeof PolicyServiceDefinition>;
let logs: ChangeLogs;
const stops: (() => Promise<void> | void)[] = [];

/** The change logs' side of the stream: every reader gets the snapshot, then what is sent. */
class ChangeLogs {
  snapshot: VpcSnapshot | undefined;
  readonly #readers = new Set<ReadableStreamDefaultController<WatchVpcsResponse>>();

  get readers(): number {
    return this.#readers.size;
  }

  send(event: WatchVpcsResponse['event']): void {
    for (const reader of this.#readers) reader.enqueue({ event });
  }

  /** Cuts all streams. */
  cut(): void {
    for (const reader of this.#readers) reader.error(new Error('cut'));
    this.#readers.clear();
  }

  watch(signal: AbortSignal): AsyncIterable<WatchVpcsResponse> {
    return new ReadableStream<WatchVpcsResponse>({
      start: (controller) => {
        this.#readers.add(controller);
        signal.addEventListener('abort', () => this.#readers.delete(controller));
        if (this.snapshot !== undefined)
          controller.enqueue({ event: { $case: 'snapshot', value: this.snapshot } });
      },
    });
  }
}

async function serve(name: string, service: BoundService<'internal', ServiceIdentity>) {
  const server = await startRpcServer({
    surface: 'internal',
    address: `unix:${join(folder, name)}`,
    services: [service],
    authenticate: () => Promise.resolve({ service: 'apiserver' }),
  });
  stops.push(() => server.stop(100));
}

function connect(name: string) {
  const channel = openChannel({ address: `unix:${join(folder, name)}` });
  stops.push(() => channel.close());
  return channel;
}

async function serveChanges(): Promise<void> {
  const bind = createBinder<'internal', ServiceIdentity>('internal');
  const implementation = {
    watchVpcs: (_request: unknown, { signal }: { signal: AbortSignal }) => logs.watch(signal),
  };
  await serve('changes.sock', bind(ChangeServiceDefinition, implementation));
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nexodus-policy-'));
  logs = new ChangeLogs();
  logs.snapshot = { vpcId, logIncarnation, revision: 10n, resources: [g, a] };
  const module = createPolicyModule({
    config: policyConfig.parse({}),
    changes: createRpcClient(ChangeServiceDefinition, connect('changes.sock')),
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    meter: createNoopMeter(),
  });
  const parts: RunningParts = await startParts(module.parts);
  stops.push(() => parts.stop());
  await module.checkReady();
  for (const service of module.internalServices) await serve('policy.sock', service);
  client = createRpcClient(PolicyServiceDefinition, connect('policy.sock'));
});

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
  await rm(folder, { recursive: true });
});

async function compile(
  from: bigint,
  to: bigint,
  incarnation = logIncarnation,
): Promise<CompileResponse> {
  const whole: CompileResponse = { shown: [], hidden: [] };
  for await (const piece of client.compile({ vpcId, logIncarnation: incarnation, from, to })) {
    whole.shown.push(...piece.shown);
    whole.hidden.push(...piece.hidden);
  }
  return whole;
}

async function refusal(call: Promise<unknown>): Promise<RpcError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof RpcError) return error;
    throw error;
  }
  return expect.unreachable();
}

function addB(revision: bigint): void {
  const changes = [{ before: undefined, after: b }];
  logs.send({ $case: 'change', value: { vpcId, revision, changes } });
}

const followed = () => eventually(() => logs.readers === 1);

describe('while the change logs cannot be reached', () => {
  test('decisions are made', async () => {
    const grants = [{ organizationId: 'o', role: 'admin' }];
    const question = {
      principal: { kind: PrincipalKind.USER, id: 'u', grants },
      action: 'vpc.create',
      resource: { kind: 'vpc', organizationId: 'o' },
    };
    expect(await client.authorize(question)).toEqual({
      allowed: true,
      visible: true,
      policyIds: ['admin-manages-resources'],
    });
  });

  test('intervals are answered UNAVAILABLE with a time to ask again', async () => {
    const error = await refusal(compile(0n, 10n));
    expect(error.code).toBe(Status.UNAVAILABLE);
    expect(error.details.retryAfterMs).toBeGreaterThan(0);
  });

  test('a question about what does not exist names the field', async () => {
    const question = {
      principal: { kind: PrincipalKind.USER, id: 'u' },
      action: 'vpc.destroy',
      resource: { kind: 'vpc' },
    };
    const error = await refusal(client.authorize(question));
    expect(error).toMatchObject({
      code: Status.INVALID_ARGUMENT,
      details: { violations: [{ field: 'action' }] },
    });
    expect((await refusal(client.authorize({}))).code).toBe(Status.INVALID_ARGUMENT);
  });
});

describe('while the change logs are followed', () => {
  beforeEach(async () => {
    await serveChanges();
    await followed();
  });

  test('an answer with more pairs than one piece holds comes whole', async () => {
    const many = Array.from({ length: 200 }, (_, index) =>
      device(`m${index}`, { host: 100 + index, groups: ['g'] }),
    );
    const changes = many.map((after) => ({ before: undefined, after }));
    logs.send({ $case: 'change', value: { vpcId, revision: 11n, changes } });
    const { shown } = await compile(0n, 11n);
    expect(
      new Set(
        shown.map(({ firstDeviceId, secondDeviceId }) => `${firstDeviceId} ${secondDeviceId}`),
      ).size,
    ).toBe((201 * 200) / 2);
  });

  test('exactly the interval is answered, again and again', async () => {
    expect(await compile(0n, 10n)).toEqual({ shown: [], hidden: [] });
    addB(11n);
    expect(await compile(10n, 11n)).toEqual({ shown: [pair], hidden: [] });
    expect(await compile(10n, 11n)).toEqual({ shown: [pair], hidden: [] });
    expect(await compile(0n, 11n)).toEqual({ shown: [pair], hidden: [] });
    expect(await compile(0n, 10n)).toEqual({ shown: [], hidden: [] });
    expect((await refusal(compile(11n, 10n))).code).toBe(Status.INVALID_ARGUMENT);
  });

  test('a question that comes before the revision waits for it', async () => {
    await compile(0n, 10n);
    const early = compile(10n, 11n);
    await client.authorize({ principal: {}, action: 'vpc.read', resource: { kind: 'vpc' } });
    addB(11n);
    expect(await early).toEqual({ shown: [pair], hidden: [] });
  });

  test('an interval that is not kept, or of another log, is compacted', async () => {
    await compile(0n, 10n);
    for (const call of [compile(9n, 10n), compile(10n, 10n, 'log-2')]) {
      const error = await refusal(call);
      expect([error.code, error.details.reason]).toEqual([
        Status.FAILED_PRECONDITION,
        'INTERVAL_COMPACTED',
      ]);
    }
  });

  test('a cut stream is opened again and goes on from a snapshot', async () => {
    await compile(0n, 10n);
    logs.snapshot = { vpcId, logIncarnation, revision: 12n, resources: [g, a, b] };
    logs.cut();
    expect(await eventually(() => compile(10n, 12n))).toEqual({ shown: [pair], hidden: [] });
  });

  test('a gap in the stream makes it begin anew', async () => {
    await compile(0n, 10n);
    logs.snapshot = { vpcId, logIncarnation, revision: 13n, resources: [g, a, b] };
    addB(13n);
    expect(await eventually(() => compile(0n, 13n))).toEqual({ shown: [pair], hidden: [] });
    expect((await refusal(compile(10n, 13n))).details.reason).toBe('INTERVAL_COMPACTED');
  });

  test('a restored log begins anew under its new incarnation', async () => {
    await compile(0n, 10n);
    const restored = { vpcId, logIncarnation: 'log-2', revision: 8n, resources: [g, a, b] };
    logs.send({ $case: 'snapshot', value: restored });
    expect(await compile(0n, 8n, 'log-2')).toEqual({ shown: [pair], hidden: [] });
    expect((await refusal(compile(9n, 10n))).details.reason).toBe('INTERVAL_COMPACTED');
  });

  test('a VPC that is no more is not answered for', async () => {
    await compile(0n, 10n);
    logs.send({ $case: 'removed', value: { vpcId } });
    await eventually(async () => {
      const error = await refusal(compile(0n, 10n));
      return error.code === Status.UNAVAILABLE;
    });
  });
});
