import { randomBytes } from 'node:crypto';
import * as wire from '@nexodus/contracts/path';
import { fuzzRuns } from '@nexodus/fuzzing';
import { ipAddressFromValue, parseIpAddress } from '@nexodus/netip';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Candidate,
  MAX_CANDIDATES,
  MAX_SIGNAL_BYTES,
  type Signal,
  SignalChannel,
  type UdpAddress,
} from './index.ts';
import { almost, pairOf, withOneBitChanged } from './probe.fixture.ts';

const NOW_MS = 1_800_000_000_000;
const at = { nowMs: NOW_MS, random: randomBytes };
const [a, b] = pairOf(1, 2);
const [c] = pairOf(3, 2);

const MAPPED_PREFIX = 0xffffn;
const port = fc.integer({ min: 1, max: 0xffff });
const address = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ipAddressFromValue(4, value)),
  fc
    .bigInt({ min: 0n, max: 2n ** 128n - 1n })
    .filter((value) => value >> 32n !== MAPPED_PREFIX)
    .map((value) => ipAddressFromValue(6, value)),
);
const udpAddress: fc.Arbitrary<UdpAddress> = fc.record({ address, port });
const candidate: fc.Arbitrary<Candidate> = fc.record({
  kind: fc.constantFrom('local', 'observed', 'port-mapped', 'reflexive'),
  address,
  port,
  priority: fc.integer({ min: 0, max: 0xffff_ffff }),
});
const number = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const signal: fc.Arbitrary<Signal> = fc.oneof(
  fc.record({
    kind: fc.constant('candidates'),
    candidates: fc.array(candidate, { maxLength: MAX_CANDIDATES }),
    observed: fc.option(udpAddress, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('call-me') }),
  fc.record({ kind: fc.constant('nominate'), nomination: number, transaction: number }),
  fc.record({ kind: fc.constant('accept'), nomination: number }),
  fc.record({
    kind: fc.constant('decline'),
    nomination: number,
    reason: fc.constantFrom('busy', 'unknown', 'unproven', 'unspecified', 'unwanted'),
  }),
);
const full: Signal = {
  kind: 'candidates',
  candidates: Array.from({ length: MAX_CANDIDATES }, () => ({
    kind: 'local',
    address: ipAddressFromValue(6, 2n ** 128n - 1n),
    port: 0xffff,
    priority: 0xffff_ffff,
  })),
  observed: { address: ipAddressFromValue(6, 2n ** 128n - 1n), port: 0xffff },
};
const accept: Signal = { kind: 'accept', nomination: 5n };

/** What a later or a broken version of the peer seals: any body under any kind. */
function sealBody(kind: number, body: Uint8Array, sequence = BigInt(NOW_MS) * 1_000n): Uint8Array {
  const nonce = randomBytes(12);
  const counted = Buffer.alloc(8);
  counted.writeBigUInt64BE(sequence);
  const sealed = a.outgoing.seal(Buffer.concat([counted, body]), nonce, kind);
  return Buffer.concat([Uint8Array.of(kind), nonce, sealed]);
}

describe('a signal', () => {
  test('is read back as it was said, in few bytes', () => {
    const [sender, receiver] = [new SignalChannel(a), new SignalChannel(b)];
    fc.assert(
      fc.property(signal, (said) => {
        const sealed = sender.seal(said, at);
        expect(sealed.length).toBeLessThanOrEqual(MAX_SIGNAL_BYTES);
        expect(receiver.open(sealed)).toEqual({ ok: true, signal: said });
      }),
    );
    expect(sender.seal(full, at).length).toBeLessThanOrEqual(MAX_SIGNAL_BYTES);
  });

  test('with any bit changed is forged, and the true one is read after all of those', () => {
    const receiver = new SignalChannel(b);
    const sealed = new SignalChannel(a).seal(accept, at);
    for (const changed of withOneBitChanged(sealed)) {
      expect(receiver.open(changed)).toEqual({ ok: false, refusal: 'forged' });
    }
    expect(receiver.open(sealed).ok).toBe(true);
  });

  test('of another pair, or sent back to its sender, is forged', () => {
    const sealed = new SignalChannel(a).seal(accept, at);
    expect(new SignalChannel(a).open(sealed)).toEqual({ ok: false, refusal: 'forged' });
    expect(new SignalChannel(c).open(sealed)).toEqual({ ok: false, refusal: 'forged' });
    const others = new SignalChannel(c).seal(accept, at);
    expect(new SignalChannel(b).open(others)).toEqual({ ok: false, refusal: 'forged' });
  });

  test('shows nothing of what it says', () => {
    const said: Signal = {
      kind: 'candidates',
      candidates: [{ kind: 'local', address: parseIpAddress('192.0.2.1'), port: 1, priority: 0 }],
      observed: undefined,
    };
    const sealed = Buffer.from(new SignalChannel(a).seal(said, at));
    expect(sealed.includes(Buffer.from('c0000201', 'hex'))).toBe(false);
  });
});

describe('a replayed signal', () => {
  test('is refused, and so is one that comes after a newer one', () => {
    const [sender, receiver] = [new SignalChannel(a), new SignalChannel(b)];
    const [first, second, third] = [0, 0, 0].map(() => sender.seal(accept, at));
    expect(receiver.open(first ?? new Uint8Array()).ok).toBe(true);
    expect(receiver.open(third ?? new Uint8Array()).ok).toBe(true);
    for (const late of [first, second, third]) {
      expect(receiver.open(late ?? new Uint8Array())).toEqual({ ok: false, refusal: 'replayed' });
    }
  });

  test('is taken by a receiver that started again, once, until the sender says something new', () => {
    const sender = new SignalChannel(a);
    const [old, fresh] = [sender.seal(accept, at), sender.seal(accept, at)];
    const again = new SignalChannel(b);
    expect(again.open(old).ok).toBe(true);
    expect(again.open(old)).toEqual({ ok: false, refusal: 'replayed' });
    expect(again.open(fresh).ok).toBe(true);
    expect(again.open(old)).toEqual({ ok: false, refusal: 'replayed' });
  });

  test('is not what a sender says that started again, unless its clock was set back', () => {
    const receiver = new SignalChannel(b);
    expect(receiver.open(new SignalChannel(a).seal(accept, at)).ok).toBe(true);
    const again = new SignalChannel(a);
    expect(receiver.open(again.seal(accept, { ...at, nowMs: NOW_MS + 1 })).ok).toBe(true);
    const past = new SignalChannel(a).seal(accept, { ...at, nowMs: NOW_MS - 1 });
    expect(receiver.open(past)).toEqual({ ok: false, refusal: 'replayed' });
  });

  test('is not what a running sender says whose clock was set back', () => {
    const [sender, receiver] = [new SignalChannel(a), new SignalChannel(b)];
    expect(receiver.open(sender.seal(accept, at)).ok).toBe(true);
    expect(receiver.open(sender.seal(accept, { ...at, nowMs: 0 })).ok).toBe(true);
  });
});

describe('what a later version says', () => {
  test('in a kind that is not known is passed over, and counts as heard', () => {
    const receiver = new SignalChannel(b);
    const sealed = sealBody(200, Uint8Array.of(1, 2, 3));
    expect(receiver.open(sealed)).toEqual({ ok: false, refusal: 'unknown-kind' });
    expect(receiver.open(sealed)).toEqual({ ok: false, refusal: 'replayed' });
  });

  test('in fields, kinds of candidates and reasons that are not known is passed over', () => {
    // Field 15, a text of one byte.
    const unknownField = Uint8Array.of(0x7a, 1, 0x41);
    const address = { ip: Buffer.of(192, 0, 2, 1), port: 9 };
    const known = { kind: wire.CandidateKind.LOCAL, address, priority: 3 };
    // A kind of a later version: no value of this one's type.
    const later = { kind: 77 as wire.CandidateKind, address: undefined, priority: 0 };
    const candidates = { candidates: [later, known], observed: undefined };
    const body = Buffer.concat([wire.Candidates.encode(candidates).finish(), unknownField]);
    const local = { kind: 'local', address: parseIpAddress('192.0.2.1'), port: 9, priority: 3 };
    expect(new SignalChannel(b).open(sealBody(1, body))).toEqual({
      ok: true,
      signal: { kind: 'candidates', candidates: [local], observed: undefined },
    });
    const reason = 77 as wire.DeclineReason;
    const decline = wire.Decline.encode({ nomination: 1n, reason }).finish();
    expect(new SignalChannel(b).open(sealBody(5, decline))).toMatchObject({
      signal: { reason: 'unspecified' },
    });
  });
});

describe('an authentic signal', () => {
  const sound = { ip: Buffer.of(192, 0, 2, 1), port: 9 };
  const mapped = Buffer.from('00000000000000000000ffffc0000201', 'hex');
  const withAddress = (address: wire.Address | undefined) => ({
    candidates: [{ kind: wire.CandidateKind.LOCAL, address, priority: 0 }],
    observed: undefined,
  });

  test.each([
    ['17 candidates', { candidates: Array(17).fill({ kind: 1, address: sound, priority: 0 }) }],
    ['a candidate without address', withAddress(undefined)],
    ['an address of five bytes', withAddress({ ...sound, ip: Buffer.alloc(5) })],
    ['port 0', withAddress({ ...sound, port: 0 })],
    ['port 65,536', withAddress({ ...sound, port: 65_536 })],
    ['an IPv4 address in the form of an IPv6 one', withAddress({ ...sound, ip: mapped })],
    ['an observed address without port', { candidates: [], observed: { ...sound, port: 0 } }],
  ])('with %s is malformed', (_what, message) => {
    const body = wire.Candidates.encode(wire.Candidates.fromPartial(message)).finish();
    const verdict = new SignalChannel(b).open(sealBody(1, body));
    expect(verdict).toEqual({ ok: false, refusal: 'malformed' });
  });

  test('of more than 1,200 bytes is malformed', () => {
    const filler = Uint8Array.of(0x7a, 0x80 | (1_160 & 0x7f), 1_160 >> 7, ...Array(1_160).fill(0));
    const fits = sealBody(2, filler);
    expect(fits).toHaveLength(MAX_SIGNAL_BYTES);
    expect(new SignalChannel(b).open(fits).ok).toBe(true);
    const tooLong = sealBody(2, Uint8Array.of(...filler, 0x70, 0));
    expect(new SignalChannel(b).open(tooLong)).toEqual({ ok: false, refusal: 'malformed' });
  });

  test('with any body is read or malformed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.uint8Array({ maxLength: 200 }),
        (kind, body) => {
          const verdict = new SignalChannel(b).open(sealBody(kind, body));
          expect(['', 'malformed', 'unknown-kind']).toContain(verdict.ok ? '' : verdict.refusal);
        },
      ),
      { numRuns: fuzzRuns(2_000) },
    );
  });
});

describe('a device does not say', () => {
  const local: Candidate = {
    kind: 'local',
    address: parseIpAddress('192.0.2.1'),
    port: 9,
    priority: 0,
  };
  test.each([
    ['17 candidates', Array<Candidate>(17).fill(local)],
    ['port 0', [{ ...local, port: 0 }]],
    ['port 65,536', [{ ...local, port: 65_536 }]],
    ['an IPv4-mapped address', [{ ...local, address: parseIpAddress('::ffff:192.0.2.1') }]],
  ])('%s', (_what, candidates) => {
    const said: Signal = { kind: 'candidates', candidates, observed: undefined };
    expect(() => new SignalChannel(a).seal(said, at)).toThrow(RangeError);
  });
});

test('whatever bytes arrive, they are read or refused without an error', () => {
  const sender = new SignalChannel(a);
  const sealed = [sender.seal(accept, at), sender.seal(full, at)];
  fc.assert(
    fc.property(almost(...sealed), (bytes) => {
      const verdict = new SignalChannel(b).open(bytes);
      const isSound = sealed.some((one) => Buffer.compare(one, bytes) === 0);
      expect(verdict.ok).toBe(isSound);
      expect(['', 'forged', 'malformed']).toContain(verdict.ok ? '' : verdict.refusal);
    }),
    { numRuns: fuzzRuns(5_000) },
  );
});
