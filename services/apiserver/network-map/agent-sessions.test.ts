import { ManualClock } from '@nexodus/clock';
import { Hello } from '@nexodus/contracts/agent';
import { isRpcError, Status } from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { createNoopMeter } from '@opentelemetry/api';
import { describe, expect, test, vi } from 'vitest';
import { AgentSessions, type AgentSessionsOptions } from './agent-sessions.ts';
import { createNetworkMapMetrics } from './network-map-metrics.ts';
import type { SessionStart } from './session-store.ts';

const DEVICE = {
  kind: 'device',
  id: 'device',
  vpcId: 'vpc',
  organizationId: 'organization',
  source: 'test',
} as const;

function setUp() {
  const begins: PromiseWithResolvers<SessionStart>[] = [];
  const clock = new ManualClock();
  const publish = vi.fn<() => boolean>(() => true);
  const put = vi.fn<AgentSessionsOptions['softState']['put']>(() => Promise.resolve('stored'));
  const remove = vi.fn<AgentSessionsOptions['softState']['delete']>(() =>
    Promise.resolve('deleted'),
  );
  const sessions = new AgentSessions({
    store: {
      begin: () => {
        const begin = Promise.withResolvers<SessionStart>();
        begins.push(begin);
        return begin.promise;
      },
      note: () => Promise.resolve(),
    },
    follower: { refresh: () => Promise.reject(new Error('ends the opening')) },
    trackers: { require: () => expect.unreachable(), get: () => undefined },
    notebook: { add: () => {} },
    presence: { stateOf: () => undefined },
    reachability: () => ({ relays: [], stunServers: [] }),
    softState: { put, delete: remove },
    bus: { publish, subscribe: () => ({ unsubscribe: () => {} }) },
    clock,
    logger: silentLogger,
    metrics: createNetworkMapMetrics(createNoopMeter()),
    settings: {
      leaseSeconds: 1,
      heartbeatMs: 1,
      silenceMs: 1,
      peerStatesMs: 1,
      maxEntries: 1,
    },
  });
  return { begins, clock, publish, put, remove, sessions };
}

describe('opening a stream', () => {
  test('a call that ended while the database was waited for begins no session that others hear of', async () => {
    const { begins, clock, publish, put, remove, sessions } = setUp();
    const call = new AbortController();
    const opening = sessions.open(DEVICE, Hello.fromPartial({}), call.signal);
    call.abort();
    begins[0]?.resolve({ outcome: 'begun', epoch: 7n });
    const error = await opening.catch((cause: unknown) => cause);
    clock.advance(1_000);
    expect(isRpcError(error, Status.UNAVAILABLE)).toBe(true);
    expect(sessions.has('vpc', 'device')).toBe(false);
    for (const spy of [publish, put, remove]) expect(spy).not.toHaveBeenCalled();
  });

  test('a call that ended before asks the database for nothing', async () => {
    const { begins, sessions } = setUp();
    const opening = sessions.open(DEVICE, Hello.fromPartial({}), AbortSignal.abort());
    await expect(opening).rejects.toThrow('the call is over');
    expect(begins).toEqual([]);
  });

  test('openings beyond the bound are refused at once', async () => {
    const { begins, sessions } = setUp();
    const { signal } = new AbortController();
    const open = () => sessions.open(DEVICE, Hello.fromPartial({}), signal);
    const opening = Array.from({ length: 256 }, open);
    const error = await open().catch((cause: unknown) => cause);
    expect(isRpcError(error, Status.RESOURCE_EXHAUSTED)).toBe(true);
    for (const begin of begins) begin.resolve({ outcome: 'deleted' });
    const ends = await Promise.allSettled(opening);
    expect(ends.every(({ status }) => status === 'rejected')).toBe(true);
  });
});
