import { openRegistrationAnswer, type SessionSide } from '@nexodus/relay-registration';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  messages,
  observedAt,
  openAdmission,
  registrationKeys,
  SESSION_ID,
  sourceOf,
} from './admission.fixture.ts';
import type { Source } from './source.ts';

const alpha = sourceOf('192.0.2.1:1111');
const alphaElsewhere = sourceOf('192.0.2.1:9999');
const beta = sourceOf('[2001:db8::2]:2222');
const stranger = sourceOf('203.0.113.66:6666');

let session: ReturnType<typeof openAdmission>;
beforeEach(() => {
  session = openAdmission();
});

function register(side: SessionSide, source: Source, timestamp: bigint, nowMs = 0) {
  const observed = observedAt(source);
  return session.arrive(side, source, messages.registration({ side, timestamp, observed }), nowMs);
}

function lockBoth(): void {
  register(0, alpha, 1n);
  register(1, beta, 1n);
}

describe('a registration', () => {
  test('that does not know its address is answered with it, and the next one locks', () => {
    const first = messages.registration({ side: 0, timestamp: 1n });
    const verdict = session.arrive(0, alpha, first);
    expect(verdict).toMatchObject({ kind: 'answer', event: undefined });
    const answer = 'bytes' in verdict ? verdict.bytes : new Uint8Array();
    expect(openRegistrationAnswer(answer, first, registrationKeys[0])).toEqual({
      observed: observedAt(alpha),
      isLocked: false,
    });
    expect(session.admission.lockedSource(0)).toBeUndefined();
    expect(register(0, alpha, 2n)).toMatchObject({
      kind: 'answer',
      event: { kind: 'locked', side: 0, source: alpha, by: 'registration' },
    });
    expect(session.admission.lockedSource(0)).toEqual(alpha);
  });

  test('is answered with less than it brought', () => {
    const verdict = register(0, alpha, 1n);
    expect('bytes' in verdict && verdict.bytes.length).toBe(31);
  });

  test('locks again at once where the device moved to', () => {
    lockBoth();
    expect(register(0, alphaElsewhere, 2n)).toMatchObject({ event: { source: alphaElsewhere } });
    expect(session.arrive(1, beta, messages.data(5))).toMatchObject({ to: [alphaElsewhere] });
    expect(session.arrive(0, alpha, messages.data(5))).toMatchObject({ reason: 'unknown-source' });
  });

  test('from the locked source keeps the lock and says so, without an event', () => {
    lockBoth();
    expect(register(0, alpha, 2n)).toMatchObject({ kind: 'answer', event: undefined });
    const unknowing = messages.registration({ side: 0, timestamp: 3n });
    const verdict = session.arrive(0, alpha, unknowing);
    const answer = 'bytes' in verdict ? verdict.bytes : new Uint8Array();
    expect(openRegistrationAnswer(answer, unknowing, registrationKeys[0])?.isLocked).toBe(true);
  });

  test('sent again gets nothing, from anywhere', () => {
    const observed = observedAt(alpha);
    const bytes = messages.registration({ side: 0, timestamp: 1n, observed });
    session.arrive(0, alpha, bytes);
    for (const source of [alpha, stranger]) {
      expect(session.arrive(0, source, bytes)).toEqual({
        kind: 'drop',
        reason: 'registration-replayed',
        event: undefined,
      });
    }
  });

  test('overtaken by a copy from elsewhere still locks, and the copy does not', () => {
    const observed = observedAt(alpha);
    const bytes = messages.registration({ side: 0, timestamp: 1n, observed });
    expect(session.arrive(0, stranger, bytes)).toMatchObject({ kind: 'answer', event: undefined });
    expect(session.admission.lockedSource(0)).toBeUndefined();
    expect(session.arrive(0, alpha, bytes)).toMatchObject({ event: { source: alpha } });
  });

  test('older than one that was accepted gets nothing', () => {
    register(0, alpha, 5n);
    expect(register(0, alphaElsewhere, 4n)).toMatchObject({ reason: 'registration-replayed' });
  });

  test.each([
    ['of another session', messages.registration({ side: 0, timestamp: 1n, sessionId: 78n })],
    ['of the other side', messages.registration({ side: 1, timestamp: 1n })],
    ['changed', messages.registration({ side: 0, timestamp: 1n }).fill(9, 20, 24)],
  ])('%s is refused', (_what, bytes) => {
    expect(session.arrive(0, alpha, bytes)).toMatchObject({ reason: 'registration-refused' });
  });

  test('comes too often to be answered each time', () => {
    const verdicts = Array.from({ length: 40 }, (_unused, index) =>
      register(0, alpha, BigInt(index + 1)),
    );
    expect(verdicts.filter(({ kind }) => kind === 'answer')).toHaveLength(20);
    expect(register(0, alpha, 99n, 1_000).kind).toBe('answer');
  });
});

describe('a handshake', () => {
  test('of two devices that nobody knows yet locks the initiator, then by its data the responder', () => {
    expect(session.arrive(0, alpha, messages.initiation(0, 10))).toMatchObject({
      reason: 'no-destination',
    });
    expect(session.arrive(1, beta, messages.initiation(1, 20), 5)).toEqual({
      kind: 'forward',
      to: [alpha],
      event: undefined,
    });
    expect(session.arrive(0, alpha, messages.response(0, 11, 20), 6)).toEqual({
      kind: 'forward',
      to: [beta],
      event: { kind: 'locked', side: 1, source: beta, by: 'handshake' },
    });
    expect(session.admission.lockedSource(0)).toBeUndefined();
    expect(session.arrive(1, beta, messages.data(11), 7)).toEqual({
      kind: 'forward',
      to: [alpha],
      event: { kind: 'locked', side: 0, source: alpha, by: 'data' },
    });
    expect(session.arrive(0, alpha, messages.data(20), 8)).toMatchObject({ to: [beta] });
  });

  test('is never kept: the initiation that found nobody is not sent later', () => {
    session.arrive(0, alpha, messages.initiation(0, 10));
    expect(register(1, beta, 1n)).toMatchObject({ kind: 'answer' });
    expect(session.arrive(1, beta, messages.data(1))).toMatchObject({ reason: 'no-destination' });
  });

  test('of a device that moved locks it when the other side answers', () => {
    lockBoth();
    expect(session.arrive(0, alphaElsewhere, messages.initiation(0, 30))).toMatchObject({
      to: [beta],
      event: undefined,
    });
    expect(session.admission.lockedSource(0)).toEqual(alpha);
    expect(session.arrive(1, beta, messages.response(1, 31, 30))).toMatchObject({
      to: [alphaElsewhere],
      event: { kind: 'locked', side: 0, source: alphaElsewhere, by: 'handshake' },
    });
  });

  test('of the locked source is not disturbed by initiations of others', () => {
    lockBoth();
    session.arrive(0, alpha, messages.initiation(0, 40));
    for (let index = 0; index < 50; index += 1) {
      session.arrive(0, sourceOf(`198.51.100.${index}:5`), messages.initiation(0, 1_000 + index));
    }
    expect(session.arrive(1, beta, messages.response(1, 41, 40))).toMatchObject({
      to: [alpha],
      event: undefined,
    });
  });

  test('whose initiation was copied by another stays with the locked source', () => {
    lockBoth();
    session.arrive(0, stranger, messages.initiation(0, 40));
    session.arrive(0, alpha, messages.initiation(0, 40));
    expect(session.arrive(1, beta, messages.response(1, 41, 40))).toMatchObject({
      to: [alpha],
      event: undefined,
    });
  });

  test('of a member who can compute mac1 on both sides takes no lock that is held', () => {
    register(1, beta, 1n);
    session.arrive(0, stranger, messages.initiation(0, 1));
    const decoy = sourceOf('203.0.113.67:6667');
    session.arrive(1, decoy, messages.initiation(1, 7));
    session.arrive(0, stranger, messages.response(0, 8, 7));
    expect(session.admission.lockedSource(1)).toEqual(beta);
  });

  test('is refused with the mac1 of somebody else', () => {
    lockBoth();
    expect(session.arrive(0, alpha, messages.initiation(1, 1))).toMatchObject({ reason: 'mac1' });
    expect(session.arrive(0, alpha, messages.response(1, 1, 1))).toMatchObject({ reason: 'mac1' });
  });

  test('has no answer from a source that was asked nothing', () => {
    register(0, alpha, 1n);
    session.arrive(0, alpha, messages.initiation(0, 10));
    const answer = messages.response(1, 11, 10);
    expect(session.arrive(1, stranger, answer)).toMatchObject({ reason: 'unknown-source' });
  });

  test('between locked sides passes though its initiation was not seen', () => {
    lockBoth();
    expect(session.arrive(1, beta, messages.response(1, 11, 99))).toMatchObject({ to: [alpha] });
  });
});

describe('two devices that moved at the same time and cannot register', () => {
  test('find each other once their locks are no longer heard', () => {
    lockBoth();
    const betaElsewhere = sourceOf('[2001:db8::2]:3333');
    session.arrive(0, alphaElsewhere, messages.initiation(0, 50), 29_000);
    session.arrive(1, betaElsewhere, messages.initiation(1, 60), 29_001);
    expect(session.arrive(1, betaElsewhere, messages.response(1, 61, 50), 29_002)).toMatchObject({
      reason: 'unknown-source',
    });
    session.arrive(0, alphaElsewhere, messages.initiation(0, 51), 34_000);
    expect(session.arrive(1, betaElsewhere, messages.initiation(1, 62), 34_001)).toMatchObject({
      to: [alpha, alphaElsewhere],
    });
    session.arrive(0, alphaElsewhere, messages.response(0, 52, 62), 34_002);
    expect(session.admission.lockedSource(1)).toEqual(betaElsewhere);
    session.arrive(1, betaElsewhere, messages.data(52), 34_003);
    expect(session.admission.lockedSource(0)).toEqual(alphaElsewhere);
  });

  test('a side that the kernel still hears keeps its lock', () => {
    lockBoth();
    session.admission.heard(1, 29_000);
    session.arrive(1, sourceOf('[2001:db8::2]:3333'), messages.initiation(1, 60), 31_000);
    expect(session.arrive(0, alpha, messages.initiation(0, 61), 31_001)).toMatchObject({
      to: [beta],
    });
  });
});

describe('data', () => {
  test('passes between locked sources only', () => {
    lockBoth();
    expect(session.arrive(0, alpha, messages.data(1))).toMatchObject({ to: [beta] });
    expect(session.arrive(0, beta, messages.data(1))).toMatchObject({ reason: 'unknown-source' });
    expect(session.arrive(0, stranger, messages.data(1))).toMatchObject({ kind: 'drop' });
  });

  test('finds its destination without a look at it', () => {
    const at = (source: Source) => ({ bytes: source, offset: 0 });
    expect(session.admission.dataDestination(0, at(alpha), 0)).toBeUndefined();
    lockBoth();
    expect(session.admission.dataDestination(0, at(alpha), 0)).toEqual(beta);
    expect(session.admission.dataDestination(0, at(stranger), 0)).toBeUndefined();
    expect(session.admission.dataDestination(1, at(alpha), 0)).toBeUndefined();
  });

  test('of the right session from elsewhere is a hint, once a second, and is not carried', () => {
    lockBoth();
    session.arrive(0, alpha, messages.initiation(0, 10));
    session.arrive(1, beta, messages.response(1, 20, 10));
    const moved = (index: number, nowMs: number) =>
      session.arrive(0, alphaElsewhere, messages.data(index), nowMs);
    expect(moved(20, 0)).toEqual({
      kind: 'drop',
      reason: 'unknown-source',
      event: { kind: 'roam-suspected', side: 0 },
    });
    expect(moved(20, 999)).toMatchObject({ kind: 'drop', event: undefined });
    expect(moved(20, 1_000)).toMatchObject({ event: { kind: 'roam-suspected' } });
    expect(moved(21, 5_000)).toMatchObject({ kind: 'drop', event: undefined });
  });
});

describe('a cookie reply', () => {
  test('reaches the locked source or the candidate whose initiation it answers, from a locked one only', () => {
    lockBoth();
    session.arrive(0, alpha, messages.initiation(0, 10));
    session.arrive(0, alphaElsewhere, messages.initiation(0, 11));
    expect(session.arrive(1, beta, messages.cookieReply(10))).toMatchObject({ to: [alpha] });
    expect(session.arrive(1, beta, messages.cookieReply(11))).toMatchObject({
      to: [alphaElsewhere],
      event: undefined,
    });
    expect(session.arrive(1, beta, messages.cookieReply(12))).toMatchObject({ kind: 'drop' });
    expect(session.arrive(1, stranger, messages.cookieReply(10))).toMatchObject({ kind: 'drop' });
  });

  test('costs its candidate no more than it sent', () => {
    lockBoth();
    session.arrive(0, stranger, messages.initiation(0, 11));
    const reasons = [1, 2, 3].map(() => session.arrive(1, beta, messages.cookieReply(11)).kind);
    expect(reasons).toEqual(['forward', 'forward', 'drop']);
  });
});

test('what is neither WireGuard nor a registration is dropped', () => {
  lockBoth();
  const zero = new Uint8Array(0);
  const foreign = messages.registration({ side: 0, timestamp: 9n, sessionId: SESSION_ID }).slice(1);
  for (const bytes of [zero, foreign, new Uint8Array(148)]) {
    expect(session.arrive(0, alpha, bytes)).toMatchObject({ reason: 'not-wireguard' });
  }
});

test('initiations of one source are rationed, those of many hosts together too, a crowd at one address by itself', () => {
  lockBoth();
  const passed = (from: (index: number) => Source, nowMs: number) =>
    Array.from({ length: 60 }, (_unused, index) =>
      session.arrive(0, from(index), messages.initiation(0, index), nowMs),
    ).filter(({ kind }) => kind === 'forward').length;
  expect(passed(() => alpha, 0)).toBe(10);
  expect(passed(() => stranger, 0)).toBe(5);
  const crowd = passed((index) => sourceOf(`198.51.100.7:${index + 1}`), 20_000);
  expect(crowd).toBeLessThanOrEqual(20);
  expect(passed((index) => sourceOf(`198.51.100.${index + 10}:5`), 20_000)).toBeLessThanOrEqual(16);
});
