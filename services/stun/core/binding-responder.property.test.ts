import { ipAddressFromValue } from '@nexodus/netip';
import {
  BINDING_METHOD,
  decodeStunMessage,
  encodeStunMessage,
  type StunAttribute,
} from '@nexodus/stun-codec';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { answerBinding } from './binding-responder.ts';
import { SourceLimiter } from './source-limiter.ts';

const source = fc.record({
  address: fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ipAddressFromValue(4, value)),
    fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ipAddressFromValue(6, value)),
  ),
  port: fc.integer({ min: 0, max: 0xffff }),
});
const foreign: fc.Arbitrary<StunAttribute> = fc.record({
  kind: fc.constant('other' as const),
  type: fc.integer({ min: 0x0021, max: 0x8021 }),
  value: fc.uint8Array({ maxLength: 12 }),
});
const request = fc
  .record({
    class: fc.constant('request' as const),
    method: fc.constant(BINDING_METHOD),
    transactionId: fc.uint8Array({ minLength: 12, maxLength: 12 }),
    attributes: fc.array(foreign, { maxLength: 40 }),
    hasFingerprint: fc.boolean(),
  })
  .map((message) => encodeStunMessage(message));
const answer = (
  datagram: Uint8Array,
  from: typeof source extends fc.Arbitrary<infer T> ? T : never,
) =>
  answerBinding(datagram, from, {
    limiter: new SourceLimiter({ ratePerSecond: 1, burst: 1, tableSize: 1 }),
    nowMs: 0,
  });

/** IP and UDP header. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;
const GROWTH_BYTES = { 4: 60, 6: 96 } as const;

test('an answer keeps the transaction and grows by at most 60 bytes on IPv4 and 96 on IPv6', () => {
  fc.assert(
    fc.property(request, source, (datagram, from) => {
      const verdict = answer(datagram, from);
      const reply = 'reply' in verdict ? verdict.reply : datagram;
      const { family } = from.address;
      expect(reply.length).toBeLessThanOrEqual(datagram.length + GROWTH_BYTES[family]);
      expect(
        (reply.length + HEADER_BYTES[family]) / (datagram.length + HEADER_BYTES[family]),
      ).toBeLessThanOrEqual(2.5);
      expect(reply.subarray(4, 20)).toEqual(datagram.subarray(4, 20));
    }),
    { numRuns: 500 },
  );
});

test('any bytes from anywhere get a verdict, and an answer is never asked for another', () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.tuple(request, fc.nat(), fc.nat({ max: 255 })).map(([datagram, position, byte]) => {
      const changed = datagram.slice();
      changed[position % changed.length] = byte;
      return changed;
    }),
  );
  fc.assert(
    fc.property(anything, source, (datagram, from) => {
      const verdict = answer(datagram, from);
      const reply = 'reply' in verdict ? verdict.reply : undefined;
      expect(reply && decodeStunMessage(reply).class).not.toBe('request');
      expect(reply && answer(reply, from).kind).toSatisfy(
        (kind) => kind === undefined || kind === 'ignored',
      );
    }),
    { numRuns: 2_000 },
  );
});
