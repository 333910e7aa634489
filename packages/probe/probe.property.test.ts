import { fuzzRuns } from '@nexodus/fuzzing';
import { DATAGRAM_MAGIC } from '@nexodus/relay-registration';
import { SMALLEST_DATA_BYTES } from '@nexodus/wireguard';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  datagramBytesOf,
  encodeProbe,
  type Probe,
  PROBE_BYTES,
  type ProbePair,
  ProbePairs,
  readProbe,
} from './index.ts';
import { almost, pairOf, withOneBitChanged } from './probe.fixture.ts';

const [a, b] = pairOf(1, 2);
const [c, cOfA] = pairOf(3, 1);

/** What the device that holds these pairs makes of bytes. */
function readWith(held: Readonly<Record<string, ProbePair>>) {
  const pairs = new ProbePairs();
  for (const [peerId, pair] of Object.entries(held)) pairs.set(peerId, pair);
  return (datagram: Uint8Array) => readProbe(datagram, pairs);
}

const byB = readWith({ a: b });
const transaction = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const probe: fc.Arbitrary<Probe> = fc.oneof(
  fc.record({ kind: fc.constantFrom('ping', 'pong'), transaction }),
  fc.record({
    kind: fc.constantFrom('padded-ping', 'padded-pong'),
    transaction,
    datagramBytes: fc.integer({ min: PROBE_BYTES, max: 1_500 }),
  }),
);
const samples: readonly Probe[] = [
  { kind: 'ping', transaction: 7n },
  { kind: 'pong', transaction: 7n },
  { kind: 'padded-ping', transaction: 7n, datagramBytes: 60 },
  { kind: 'padded-pong', transaction: 7n, datagramBytes: 60 },
];

describe('a probe', () => {
  test('is read back as it was written, by its receiver alone', () => {
    const byStranger = readWith({ c: cOfA });
    fc.assert(
      fc.property(probe, (said) => {
        const bytes = encodeProbe(said, a);
        expect(byB(bytes)).toEqual({ ok: true, peerId: 'a', probe: said });
        expect(byStranger(bytes)).toEqual({ ok: false, refusal: 'unknown' });
      }),
    );
  });

  test('is shorter than every WireGuard message unless it is padded', () => {
    fc.assert(
      fc.property(probe, (said) => {
        const bytes = encodeProbe(said, a);
        const isPadded = said.kind === 'padded-ping';
        expect(bytes).toHaveLength(isPadded ? said.datagramBytes : PROBE_BYTES);
        expect(new DataView(bytes.buffer).getUint32(0)).toBe(DATAGRAM_MAGIC);
      }),
    );
    expect(PROBE_BYTES).toBeLessThan(SMALLEST_DATA_BYTES);
  });

  test.each(samples)('of kind $kind with any bit changed is none', (said) => {
    for (const changed of withOneBitChanged(encodeProbe(said, a))) {
      expect(byB(changed).ok).toBe(false);
    }
  });

  test.each(samples)('of kind $kind that comes back to its sender is none', (said) => {
    const byA = readWith({ b: a });
    expect(byA(encodeProbe(said, a))).toEqual({ ok: false, refusal: 'unknown' });
  });

  test.each(samples)('of kind $kind that is cut or longer is none', (said) => {
    const bytes = encodeProbe(said, a);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(byB(bytes.subarray(0, length)).ok).toBe(false);
    }
    expect(byB(Uint8Array.from([...bytes, 0]))).toEqual({ ok: false, refusal: 'malformed' });
  });

  test('under another pair’s or the other direction’s code is forged where its tag is known', () => {
    const foreignCode = encodeProbe({ kind: 'ping', transaction: 1n }, c);
    const view = new DataView(foreignCode.buffer);
    view.setUint32(5, b.incoming.tag);
    expect(byB(foreignCode)).toEqual({ ok: false, refusal: 'forged' });
    const returned = encodeProbe({ kind: 'ping', transaction: 1n }, b);
    new DataView(returned.buffer).setUint32(5, b.incoming.tag);
    expect(byB(returned)).toEqual({ ok: false, refusal: 'forged' });
  });

  test('with a tag that two peers share is that of the peer whose code it has', () => {
    const alike = [
      { peerId: 'c', pair: cOfA },
      { peerId: 'a', pair: b },
    ];
    const said: Probe = { kind: 'ping', transaction: 9n };
    const pairs = { withTag: () => alike };
    expect(readProbe(encodeProbe(said, a), pairs)).toMatchObject({ ok: true, peerId: 'a' });
    expect(readProbe(encodeProbe(said, c), pairs)).toMatchObject({ ok: true, peerId: 'c' });
    expect(readProbe(encodeProbe(said, b), pairs)).toEqual({ ok: false, refusal: 'forged' });
  });

  test('that is padded with anything but zeroes is none', () => {
    const bytes = encodeProbe({ kind: 'padded-ping', transaction: 1n, datagramBytes: 1_332 }, a);
    bytes[1_331] = 1;
    expect(byB(bytes)).toEqual({ ok: false, refusal: 'malformed' });
  });

  test.each([30, 31.5, 65_528, Number.NaN])('is not padded to %d bytes', (datagramBytes) => {
    const said: Probe = { kind: 'padded-ping', transaction: 1n, datagramBytes };
    expect(() => encodeProbe(said, a)).toThrow(RangeError);
  });
});

test('a datagram is so long that its packet has the size that is asked for', () => {
  expect(datagramBytesOf(1_360, 4)).toBe(1_332);
  expect(datagramBytesOf(1_360, 6)).toBe(1_312);
});

test('whatever bytes arrive, they are read or refused without an error', () => {
  const sound = samples.map((said) => encodeProbe(said, a));
  const declared = ['', 'foreign', 'forged', 'malformed', 'unknown'];
  fc.assert(
    fc.property(almost(...sound), (bytes) => {
      const verdict = byB(bytes);
      const isSound = sound.some((one) => Buffer.compare(one, bytes) === 0);
      expect(verdict.ok).toBe(isSound);
      expect(declared).toContain(verdict.ok ? '' : verdict.refusal);
    }),
    { numRuns: fuzzRuns(5_000) },
  );
});
