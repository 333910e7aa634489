import { ManualClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import {
  AgentServiceDefinition,
  type AgentServiceImplementation,
  type ConnectRequest,
  type ConnectResponse,
  GoodbyeReason,
  ViewKind,
} from '@nexodus/contracts/agent';
import { encodeSelfEntry } from '@nexodus/network-map';
import { createInMemoryClient, RpcError, Status, unauthenticated } from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { expect, test } from 'vitest';
import { createControlSession } from './control-session.ts';
import type { SessionEffect } from './core/session-state.ts';

type Answer = NonNullable<ConnectResponse['message']>;

const welcome: Answer = {
  $case: 'welcome',
  value: { sessionEpoch: 1n, capability: 1, serverTimeMs: 1n, leaseSeconds: 60 },
};
const self = encodeSelfEntry({
  deviceId: 'd',
  vpcId: 'v',
  vpcName: 'default',
  organizationId: 'o',
  hostname: 'a',
  ipv4Address: '100.64.0.1',
  ipv6Address: 'fd00::1',
  expireTimeSeconds: 0n,
  bindingSerial: 0n,
});
const snapshot: Answer[] = [
  {
    $case: 'viewInterval',
    value: {
      vpcId: 'v',
      logIncarnation: 'l',
      kind: ViewKind.SNAPSHOT,
      from: 0n,
      to: 4n,
      frames: 1,
      traceparent: '',
    },
  },
  { $case: 'viewEntries', value: { entries: [self] } },
];

/** Whether a scripted service keeps the stream open after its last word. */
const open = Symbol('the stream stays open');

/** Plays one script after the other, one for each stream, and notes what the agent says. */
function scripted(scripts: (Answer | typeof open | RpcError)[][]) {
  const said: ConnectRequest['message'][][] = [];
  const unused = (): never => {
    throw new RpcError(Status.UNIMPLEMENTED, 'not in the script');
  };
  const implementation: AgentServiceImplementation<{ identity: null }> = {
    beginEnroll: unused,
    enroll: unused,
    authenticate: unused,
    publishBinding: unused,
    issueRelayGrants: unused,
    async *connect(requests, { signal }) {
      const script = scripts[said.length] ?? [];
      const words: ConnectRequest['message'][] = [];
      said.push(words);
      const reading = (async () => {
        for await (const { message } of requests) words.push(message);
      })();
      for (const step of script) {
        if (step instanceof RpcError) throw step;
        if (step === open) await Promise.race([reading, aborted(signal)]);
        else yield { message: step };
      }
    },
  };
  const client = createInMemoryClient(AgentServiceDefinition, implementation, { identity: null });
  return { client, said };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function start(scripts: (Answer | typeof open | RpcError)[][]) {
  const { client, said } = scripted(scripts);
  const clock = new ManualClock(1_000);
  const effects: SessionEffect[] = [];
  const states: string[] = [];
  const refusals: string[] = [];
  const session = createControlSession({
    client,
    clock,
    random: () => 0.5,
    logger: silentLogger,
    agent: { version: '0.1.0', os: 'linux' },
    view: undefined,
    onEffect: (effect) => effects.push(effect),
    onState: (state, failure) => states.push(failure === undefined ? state : `${state}!`),
    onUnauthenticated: () => refusals.push('refused'),
  });
  session.start();
  return { session, clock, said, effects, states, refusals };
}

test('a session greets, hands the view on, and says what was applied', async () => {
  const run = start([[welcome, ...snapshot, open]]);
  await eventually(() => run.effects.some(({ kind }) => kind === 'view'));
  run.session.tell({ kind: 'applied', revision: 4n, digest: new Uint8Array(32), problem: '' });
  await eventually(() => run.said[0]?.at(-1)?.$case === 'applied');
  expect(run.said[0]?.map((message) => message?.$case)).toEqual(['hello', 'localState', 'applied']);
  run.session.stop();
  expect(run.states).toEqual(['opening', 'live', 'ended']);
  expect(run.clock.pendingTimers).toBe(0);
});

test('after a lost stream it comes back with the view that it holds', async () => {
  const run = start([
    [welcome, ...snapshot],
    [welcome, open],
  ]);
  await eventually(() => run.states.includes('waiting'));
  run.clock.advance(15_000);
  await eventually(() => run.states.at(-1) === 'live');
  expect(run.said[1]?.[0]).toMatchObject({
    $case: 'hello',
    value: { vpcId: 'v', logIncarnation: 'l', appliedRevision: 4n },
  });
  run.session.stop();
});

test('heartbeats go out as the clock says', async () => {
  const run = start([[welcome, open]]);
  await eventually(() => run.states.at(-1) === 'live');
  run.clock.advance(9_000);
  await eventually(() => run.said[0]?.at(-1)?.$case === 'heartbeat');
  run.session.stop();
});

test('refused credentials are told, and the next stream waits', async () => {
  const run = start([[unauthenticated('ASSERTION_INVALID', 'no')], [welcome, open]]);
  await eventually(() => run.states.includes('waiting!'));
  expect(run.refusals).toEqual(['refused']);
  run.clock.advance(15_000);
  await eventually(() => run.states.at(-1) === 'live');
  run.session.stop();
});

test('a deleted device asks no more', async () => {
  const run = start([[unauthenticated('DEVICE_DELETED', 'gone')]]);
  await eventually(() => run.states.some((state) => state.startsWith('ended')));
  run.clock.advance(3_600_000);
  expect(run.said).toHaveLength(1);
  expect(run.effects.at(-1)).toEqual({ kind: 'ended', reason: 'device-deleted' });
});

test('a newer stream of the same device ends the session for good only when it does so again', async () => {
  const goodbye: Answer = { $case: 'goodbye', value: { reason: GoodbyeReason.SUPERSEDED } };
  const run = start([
    [welcome, goodbye],
    [welcome, goodbye],
  ]);
  await eventually(() => run.states.at(-1) === 'waiting');
  run.clock.advance(60_000);
  await eventually(() => run.states.at(-1) === 'ended');
  run.clock.advance(3_600_000);
  expect(run.said).toHaveLength(2);
});

test('stopping ends the stream, and what comes late means nothing', async () => {
  const run = start([[welcome, open, ...snapshot]]);
  await eventually(() => run.states.at(-1) === 'live');
  run.session.stop();
  run.session.tell({ kind: 'network-changed' });
  expect(run.effects.at(-1)).toEqual({ kind: 'ended', reason: 'stopped' });
});
