import { createHmac } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deriveProbePair, encodeProbe, ProbePairs } from './index.ts';
import { deviceKey, pairOf } from './probe.fixture.ts';

/** HKDF-SHA256 for up to 32 bytes, without salt, as RFC 5869 writes it. */
function hkdf(secret: Uint8Array, info: Uint8Array, length: number): Buffer {
  const extracted = createHmac('sha256', Buffer.alloc(32)).update(secret).digest();
  const expanded = createHmac('sha256', extracted).update(info).update(Uint8Array.of(1)).digest();
  return expanded.subarray(0, length);
}

describe('the keys of a pair', () => {
  test('are those that the document gives', () => {
    const [a, b] = [deviceKey(1), deviceKey(2)];
    const ordered = [a.publicKey, b.publicKey].toSorted((x, y) => Buffer.compare(x, y));
    const info = Buffer.concat([Buffer.from('nexodus-probe-v1'), ...ordered]);
    const secret = hkdf(a.sharedSecret(b.publicKey), info, 32);
    const direction = Buffer.compare(a.publicKey, b.publicKey) < 0 ? 0 : 1;
    const macKey = hkdf(secret, Buffer.from(`mac${direction}`), 32);
    const tag = hkdf(secret, Buffer.from(`tag${direction}`), 4);
    const [pair] = pairOf(1, 2);
    const header = Buffer.from(`f5574d3120${tag.toString('hex')}0102030405060708`, 'hex');
    const code = createHmac('sha256', macKey).update(header).digest().subarray(0, 14);
    const ping = encodeProbe({ kind: 'ping', transaction: 0x0102_0304_0506_0708n }, pair);
    expect(Buffer.from(ping)).toEqual(Buffer.concat([header, code]));
    expect(Buffer.from(ping).toString('hex')).toMatchInlineSnapshot(
      `"f5574d312062681fe601020304050607085e7017272be9c765d62781099a51"`,
    );
  });

  test('are the same on both sides, crosswise', () => {
    const byte = fc.integer({ min: 1, max: 255 });
    fc.assert(
      fc.property(byte, byte, (one, other) => {
        // Clamping makes one key of eight neighbours.
        fc.pre(one >> 3 !== other >> 3);
        const [a, b] = pairOf(one, other);
        expect(a.outgoing.tag).toBe(b.incoming.tag);
        expect(a.incoming.tag).toBe(b.outgoing.tag);
        expect(a.outgoing.direction).toBe(b.incoming.direction);
        expect(a.isLesser).toBe(!b.isLesser);
        expect(a.isLesser).toBe(a.outgoing.direction === 0);
      }),
      { numRuns: 30 },
    );
  });

  test('are none where the peer claims this device’s own key', () => {
    const own = deviceKey(1);
    expect(deriveProbePair(own, own.publicKey)).toBeUndefined();
  });

  test('are not printed', () => {
    const [pair] = pairOf(1, 2);
    for (const text of [
      String(pair.outgoing),
      JSON.stringify(pair),
      inspect(pair, { depth: 9, showHidden: true }),
    ]) {
      expect(text).toContain('[probe keys]');
      expect(text).not.toMatch(/KeyObject|[0-9a-f]{16}/);
    }
  });
});

describe('the pairs of a device', () => {
  const [first] = pairOf(1, 32);
  const [second] = pairOf(1, 64);

  test('are found by peer and by the tag of the peer’s probes until they are forgotten', () => {
    const pairs = new ProbePairs();
    pairs.set('one', first);
    pairs.set('two', second);
    expect(pairs.get('one')).toBe(first);
    expect(pairs.withTag(second.incoming.tag)).toEqual([{ peerId: 'two', pair: second }]);
    pairs.delete('two');
    pairs.delete('two');
    expect(pairs.get('two')).toBeUndefined();
    expect(pairs.withTag(second.incoming.tag)).toBeUndefined();
    expect(pairs.withTag(first.incoming.tag)).toHaveLength(1);
  });

  test('have one for each peer: the newest', () => {
    const pairs = new ProbePairs();
    pairs.set('one', first);
    pairs.set('one', second);
    expect(pairs.get('one')).toBe(second);
    expect(pairs.withTag(first.incoming.tag)).toBeUndefined();
  });

  test('may share a tag', () => {
    const pairs = new ProbePairs();
    pairs.set('one', first);
    pairs.set('two', first);
    pairs.delete('one');
    expect(pairs.withTag(first.incoming.tag)).toEqual([{ peerId: 'two', pair: first }]);
  });
});
