import {
  type ConnectResponse,
  GoodbyeReason,
  type ViewInterval,
  ViewKind,
} from '@nexodus/contracts/agent';
import { EndpointKind } from '@nexodus/contracts/type';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Session, SessionEffect, SessionEvent } from './session-state.ts';
import { createSession, nextWakeAtMs, stepSession } from './step-session.ts';

const agent = { version: '0.1.0', os: 'linux' };

type Message = NonNullable<ConnectResponse['message']>;

/** Plays events at their instants and collects what the session wants done. */
function play(timeline: [atMs: number, event: SessionEvent][], start = createSession(undefined)) {
  let session: Session = start;
  const effects: [atMs: number, effect: SessionEffect][] = [];
  for (const [nowMs, event] of timeline) {
    const step = stepSession(session, event, { nowMs, random: 0.5 }, agent);
    session = step.session;
    for (const effect of step.effects) effects.push([nowMs, effect]);
  }
  return { session, effects, kinds: effects.map(([, { kind }]) => kind) };
}

function received(message: Message): SessionEvent {
  return { kind: 'received', message };
}

const welcome = received({
  $case: 'welcome',
  value: { sessionEpoch: 1n, capability: 1, serverTimeMs: 5_000n, leaseSeconds: 60 },
});
const started: [number, SessionEvent][] = [
  [0, { kind: 'start' }],
  [10, welcome],
];

function interval(fields: Partial<ViewInterval>): SessionEvent {
  const base = {
    vpcId: 'v',
    logIncarnation: 'l',
    kind: ViewKind.SNAPSHOT,
    from: 0n,
    to: 3n,
    frames: 1,
    traceparent: '00-trace',
  };
  return received({ $case: 'viewInterval', value: { ...base, ...fields } });
}

function entries(key: string): SessionEvent {
  return received({
    $case: 'viewEntries',
    value: { entries: [{ key, value: Buffer.from('x') }] },
  });
}

function serviceHeartbeat(revision: bigint, serverTimeMs = 6_000n): SessionEvent {
  return received({ $case: 'heartbeat', value: { revision, serverTimeMs } });
}

describe('opening', () => {
  test('a device without a view says so, and sends its state after Welcome', () => {
    const { session, effects } = play(started);
    expect(effects[0]?.[1]).toMatchObject({
      kind: 'open',
      hello: { capability: 1, vpcId: '', appliedRevision: 0n, viewDigest: Buffer.alloc(0) },
    });
    expect(effects[1]?.[1]).toEqual({ kind: 'server-time', serverTimeMs: 5_000, leaseMs: 60_000 });
    expect(effects[2]?.[1]).toMatchObject({ message: { $case: 'localState' } });
    expect(session.state.kind).toBe('live');
  });

  test('a stream that does not begin with Welcome is closed', () => {
    const { kinds, session } = play([
      [0, { kind: 'start' }],
      [10, serviceHeartbeat(0n)],
    ]);
    expect(kinds).toEqual(['open', 'close']);
    expect(session.state.kind).toBe('waiting');
  });

  test('a service that does not answer for 30 s is given up', () => {
    const { kinds } = play([
      [0, { kind: 'start' }],
      [29_999, { kind: 'wake' }],
      [30_000, { kind: 'wake' }],
    ]);
    expect(kinds).toEqual(['open', 'close']);
  });
});

describe('the view', () => {
  test('is handed on when the last frame has come, with the trace of the change', () => {
    const { effects, session } = play([
      ...started,
      [20, interval({ frames: 2 })],
      [21, entries('self')],
      [22, entries('peer/1')],
    ]);
    const views = effects.filter(([, { kind }]) => kind === 'view');
    expect(views).toHaveLength(1);
    expect(views[0]?.[0]).toBe(22);
    expect(views[0]?.[1]).toMatchObject({ traceparent: '00-trace', view: { revision: 3n } });
    expect(session.view?.entries.size).toBe(2);
  });

  test('moves with the bookmark of a heartbeat, which is handed on to be acknowledged', () => {
    const { session, kinds } = play([
      ...started,
      [20, interval({ frames: 0 })],
      [30, serviceHeartbeat(9n)],
      [40, serviceHeartbeat(9n)],
      [50, serviceHeartbeat(0n)],
    ]);
    expect(session.view?.revision).toBe(9n);
    expect(kinds.filter((kind) => kind === 'view')).toHaveLength(2);
    expect(kinds.filter((kind) => kind === 'server-time')).toHaveLength(4);
  });

  test('is acknowledged with revision, digest and problem', () => {
    const applied: SessionEvent = {
      kind: 'applied',
      revision: 3n,
      digest: new Uint8Array(32),
      problem: 'refused x',
    };
    const { effects } = play([...started, [20, applied]]);
    expect(effects.at(-1)?.[1]).toEqual({
      kind: 'send',
      message: {
        $case: 'applied',
        value: { revision: 3n, viewDigest: Buffer.alloc(32), problem: 'refused x' },
      },
    });
  });

  test('is said in the Hello of the next stream', () => {
    const { effects } = play([
      ...started,
      [20, interval({ frames: 0 })],
      [30, { kind: 'closed' }],
      [1_000, { kind: 'wake' }],
    ]);
    expect(effects.at(-1)?.[1]).toMatchObject({
      kind: 'open',
      hello: { vpcId: 'v', logIncarnation: 'l', appliedRevision: 3n, viewDigest: Buffer.alloc(32) },
    });
  });

  const gaps: [string, SessionEvent[]][] = [
    ['a delta that does not join', [interval({ kind: ViewKind.DELTA, from: 1n, frames: 0 })]],
    ['an interval of more frames than a device holds', [interval({ frames: 4_097 })]],
    ['entries without an interval', [entries('self')]],
    ['an interval before the frames of the one before', [interval({}), interval({})]],
    ['an interval of no known kind', [interval({ kind: ViewKind.UNRECOGNIZED, frames: 0 })]],
  ];
  test.for(gaps)('%s ends the stream, and the next Hello asks for a snapshot', ([, events]) => {
    const held: [number, SessionEvent][] = [...started, [20, interval({ frames: 0 })]];
    const { effects, session } = play([
      ...held,
      ...events.map((event) => [30, event] as [number, SessionEvent]),
      [20_000, { kind: 'wake' }],
    ]);
    expect(effects.at(-1)?.[1]).toMatchObject({ kind: 'open', hello: { appliedRevision: 0n } });
    expect(session.view?.revision).toBe(3n);
  });
});

describe('staying alive', () => {
  test('a heartbeat goes out within 10 s, and state within 60 s', () => {
    const wakes = Array.from({ length: 7 }, (_, index): [number, SessionEvent][] => [
      [10 + (index + 1) * 9_000, { kind: 'wake' }],
      [10 + (index + 1) * 9_000, serviceHeartbeat(0n)],
    ]);
    const { effects } = play([...started, ...wakes.flat()]);
    const sent = effects.flatMap(([at, effect]) =>
      effect.kind === 'send' ? [[at, effect.message.$case] as const] : [],
    );
    expect(sent.filter(([, kind]) => kind === 'heartbeat')).toHaveLength(7);
    expect(sent.filter(([, kind]) => kind === 'localState').map(([at]) => at)).toEqual([
      10, 63_010,
    ]);
  });

  test('a service that is silent for 30 s is left', () => {
    const { kinds, session } = play([...started, [30_010, { kind: 'wake' }]]);
    expect(kinds.at(-1)).toBe('close');
    expect(session.state.kind).toBe('waiting');
  });

  test('every message counts as a sign of life, also one of an unknown kind', () => {
    const unknown: SessionEvent = { kind: 'received', message: undefined };
    const { session } = play([...started, [29_000, unknown], [31_000, { kind: 'wake' }]]);
    expect(session.state.kind).toBe('live');
  });
});

describe('reconnecting', () => {
  function pauses(liveMs: number): number[] {
    const waits: number[] = [];
    let session = createSession(undefined);
    let nowMs = 0;
    const step = (event: SessionEvent): void => {
      session = stepSession(session, event, { nowMs, random: 0.999_999 }, agent).session;
    };
    step({ kind: 'start' });
    for (let round = 0; round < 10; round += 1) {
      if (liveMs > 0) step(welcome);
      nowMs += liveMs;
      step({ kind: 'closed' });
      const wakeAt = nextWakeAtMs(session) ?? Number.NaN;
      waits.push(Math.ceil((wakeAt - nowMs + 1) / 100) * 100);
      nowMs = wakeAt;
      step({ kind: 'wake' });
    }
    return waits;
  }

  test('pauses have caps that double from 0.2 s to 15 s', () => {
    expect(pauses(0).slice(0, 9)).toEqual([
      200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000,
    ]);
  });

  test('a stream that lived for 30 s makes the next pause short again', () => {
    expect(new Set(pauses(30_000).slice(1))).toEqual(new Set([200]));
    expect(pauses(29_999).at(-1)).toBe(15_000);
  });

  test('a network change ends the pause at once', () => {
    const { kinds } = play([
      ...started,
      [20, { kind: 'closed' }],
      [21, { kind: 'network-changed' }],
    ]);
    expect(kinds.at(-1)).toBe('open');
  });

  test('the service may ask for a longer pause, which a network change does not end', () => {
    const { session, kinds } = play([
      ...started,
      [20, { kind: 'closed', retryAfterMs: 5_000 }],
      [5_019, { kind: 'network-changed' }],
    ]);
    expect(kinds.at(-1)).toBe('send');
    expect(nextWakeAtMs(session)).toBeGreaterThanOrEqual(5_020);
  });
});

describe('goodbye', () => {
  const bye = (reason: GoodbyeReason): SessionEvent =>
    received({ $case: 'goodbye', value: { reason } });
  const cases: [GoodbyeReason, string][] = [
    [GoodbyeReason.DEVICE_DELETED, 'device-deleted'],
    [GoodbyeReason.DEVICE_EXPIRED, 'device-expired'],
  ];
  test.for(cases)('%i ends the session for good', ([reason, end]) => {
    const { session, kinds } = play([...started, [20, bye(reason)], [99_999, { kind: 'wake' }]]);
    expect(session.state).toEqual({ kind: 'ended', reason: end });
    expect(kinds.slice(-2)).toEqual(['close', 'ended']);
  });

  test('a superseded session comes back after 30 to 60 s, not before, whatever the network does', () => {
    const { session, kinds } = play([
      ...started,
      [20, bye(GoodbyeReason.SUPERSEDED)],
      [30_019, { kind: 'network-changed' }],
    ]);
    expect(kinds.slice(-2)).toEqual(['close', 'superseded']);
    expect(session.state.kind).toBe('waiting');
    expect(nextWakeAtMs(session)).toBe(45_020);
    const later = play([[45_020, { kind: 'wake' }]], session);
    expect(later.kinds).toEqual(['open']);
  });

  test.for([
    [46_000, 'ended'],
    [300_019, 'ended'],
    [300_020, 'waiting'],
  ] as const)('superseded again at %i ms, it is %s', ([atMs, kind]) => {
    const { session } = play([
      ...started,
      [20, bye(GoodbyeReason.SUPERSEDED)],
      [45_020, { kind: 'wake' }],
      [45_030, welcome],
      [atMs, bye(GoodbyeReason.SUPERSEDED)],
    ]);
    expect(session.state.kind).toBe(kind);
  });

  test('streams that a replica ends come back spread over 5 s', () => {
    const { session } = play([...started, [40_000, bye(GoodbyeReason.DRAINING)]]);
    expect(nextWakeAtMs(session)).toBe(42_500);
  });

  test.for([0, 1, 5, 77])('%i reconnects after a pause', (reason) => {
    const { session } = play([...started, [20, bye(reason as GoodbyeReason)]]);
    expect(session.state.kind).toBe('waiting');
  });

  test('a deleted device that learns it when opening ends too', () => {
    const { session } = play([
      [0, { kind: 'start' }],
      [5, { kind: 'closed', end: 'device-deleted' }],
    ]);
    expect(session.state).toEqual({ kind: 'ended', reason: 'device-deleted' });
  });
});

test('new endpoints are sent at once with a rising sequence; while no stream is up they wait for Welcome', () => {
  const endpoints = [{ address: '192.0.2.1:1', kind: EndpointKind.LOCAL }];
  const { effects } = play([
    [0, { kind: 'endpoints', endpoints }],
    ...started,
    [20, { kind: 'endpoints', endpoints: [] }],
  ]);
  const sent = effects.flatMap(([, effect]) =>
    effect.kind === 'send' && effect.message.$case === 'localState' ? [effect.message.value] : [],
  );
  expect(sent).toMatchObject([
    { sequence: 1n, endpoints },
    { sequence: 2n, endpoints: [] },
  ]);
});

test('whatever happens in whatever order, no step throws and the next wake-up is never in the past', () => {
  const event: fc.Arbitrary<SessionEvent> = fc.constantFrom<SessionEvent>(
    { kind: 'start' },
    { kind: 'wake' },
    { kind: 'network-changed' },
    { kind: 'closed' },
    { kind: 'endpoints', endpoints: [] },
    welcome,
    interval({}),
    interval({ kind: ViewKind.DELTA, from: 3n, to: 4n }),
    entries('self'),
    serviceHeartbeat(4n),
    { kind: 'received', message: undefined },
  );
  const timeline = fc.array(fc.tuple(fc.integer({ min: 0, max: 40_000 }), event), {
    maxLength: 60,
  });
  const law = fc.property(
    timeline,
    fc.double({ min: 0, max: 0.999, noNaN: true }),
    (steps, random) => {
      let session = createSession(undefined);
      let nowMs = 0;
      for (const [passed, next] of steps) {
        nowMs += passed;
        session = stepSession(session, next, { nowMs, random }, agent).session;
        session = stepSession(session, { kind: 'wake' }, { nowMs, random }, agent).session;
        expect(nextWakeAtMs(session) ?? nowMs).toBeGreaterThanOrEqual(nowMs);
      }
    },
  );
  fc.assert(law);
});
