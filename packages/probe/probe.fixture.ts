/** Devices with fixed keys, and bytes that are almost right, for tests of the messages between devices. */
import { DiscoPrivateKey } from '@nexodus/wireguard';
import fc from 'fast-check';
import { deriveProbePair, type ProbePair } from './index.ts';

/** The device whose private key is 32 times this byte. */
export function deviceKey(byte: number): DiscoPrivateKey {
  return DiscoPrivateKey.fromBytes(new Uint8Array(32).fill(byte));
}

/** What each of two devices holds for the other. */
export function pairOf(one: number, other: number): readonly [ProbePair, ProbePair] {
  const [a, b] = [deviceKey(one), deviceKey(other)];
  const pairs = [deriveProbePair(a, b.publicKey), deriveProbePair(b, a.publicKey)] as const;
  if (pairs[0] === undefined || pairs[1] === undefined) throw new Error('one device is no pair');
  return [pairs[0], pairs[1]];
}

/** Copies of the bytes with one bit changed, each bit once. */
export function* withOneBitChanged(bytes: Uint8Array): Generator<Uint8Array> {
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Uint8Array.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    yield changed;
  }
}

/** Any bytes, and sound ones that were changed, cut or made longer. */
export function almost(...sound: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const changed = fc
    .record({
      bytes: fc.constantFrom(...sound),
      changes: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1 }),
    })
    .map(({ bytes, changes }) => {
      const copy = Uint8Array.from(bytes);
      for (const [position, byte] of changes) copy[position % copy.length] = byte;
      return copy;
    });
  const cut = fc
    .tuple(fc.constantFrom(...sound), fc.nat())
    .map(([bytes, length]) => bytes.subarray(0, length % bytes.length));
  const longer = fc
    .tuple(fc.constantFrom(...sound), fc.uint8Array({ minLength: 1, maxLength: 40 }))
    .map(([bytes, more]) => Uint8Array.from([...bytes, ...more]));
  const headed = fc
    .tuple(fc.constantFrom(...sound), fc.nat(19), fc.uint8Array({ maxLength: 60 }))
    .map(([bytes, length, more]) => Uint8Array.from([...bytes.subarray(0, length), ...more]));
  return fc.oneof(fc.uint8Array({ maxLength: 100 }), changed, cut, longer, headed);
}
