import { fuzzRuns } from '@nexodus/fuzzing';
import { ipAddressFromValue } from '@nexodus/netip';
import {
  attributeType,
  BINDING_METHOD,
  decodeStunMessage,
  encodeStunMessage,
  type StunAttribute,
  type TransportAddress,
} from '@nexodus/stun-codec';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createReplyRoutes } from './reply-routes.ts';
import { answerOne, generous, PLAIN } from './received.fixture.ts';
import { referenceAnswer } from './reference-responder.fixture.ts';
import { StunResponder } from './stun-responder.ts';

const address = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ipAddressFromValue(4, value)),
  fc.bigInt({ min: 2n ** 64n, max: 2n ** 128n - 1n }).map((value) => ipAddressFromValue(6, value)),
);
const endpoint: fc.Arbitrary<TransportAddress> = fc.record({
  address,
  port: fc.integer({ min: 0, max: 0xffff }),
});
/** Types that a request may carry without the codec refusing their values. */
const foreign: fc.Arbitrary<StunAttribute> = fc.record({
  kind: fc.constant('other' as const),
  type: fc.oneof(
    fc.integer({ min: 0x0021, max: 0x8021 }),
    fc.constantFrom(
      attributeType.username,
      attributeType.messageIntegrity,
      attributeType.messageIntegritySha256,
      attributeType.padding,
    ),
  ),
  value: fc.uint8Array({ maxLength: 12 }),
});
const change: fc.Arbitrary<StunAttribute> = fc.record({
  kind: fc.constant('change-request' as const),
  changesAddress: fc.boolean(),
  changesPort: fc.boolean(),
});
const request = fc
  .record({
    class: fc.constantFrom('request', 'request', 'request', 'indication', 'success'),
    method: fc.constantFrom(BINDING_METHOD, BINDING_METHOD, BINDING_METHOD, 0x003, 0x101),
    transactionId: fc.uint8Array({ minLength: 12, maxLength: 12 }),
    attributes: fc.array(fc.oneof({ weight: 4, arbitrary: foreign }, change), { maxLength: 40 }),
    hasFingerprint: fc.boolean(),
  })
  .map((message) => encodeStunMessage(message));
const optionalEndpoint = fc.option(endpoint, { nil: undefined });
const server = fc.record({
  origins: fc.tuple(endpoint, optionalEndpoint, optionalEndpoint, optionalEndpoint),
  other: optionalEndpoint,
});

/** IP and UDP header. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;
const GROWTH_BYTES = { 4: 60, 6: 96 } as const;

const responder = (): StunResponder =>
  new StunResponder({ limiter: generous(), software: 'Nexodus' });

test('what is written over a request is what the decoded request deserves', () => {
  fc.assert(
    fc.property(request, endpoint, server, (datagram, source, { origins, other }) => {
      const [here, port, both, all] = origins.map((origin, socket) => origin && { socket, origin });
      const routes = createReplyRoutes({
        endpoint: here ?? { socket: 0 },
        software: 'Nexodus',
        changed: { port, address: both, both: all },
        other,
      });
      const outcome = answerOne(responder(), datagram, { source, routes });
      const expected = referenceAnswer(datagram, source, { origins, other });
      expect(outcome.socket).toBe(expected?.from);
      expect(outcome.reply).toEqual(expected?.reply);
    }),
    { numRuns: 2_000 },
  );
});

test('an answer keeps the transaction and grows by at most 60 bytes on IPv4 and 96 on IPv6', () => {
  const ofOneFamily = fc
    .tuple(request, endpoint, server)
    .filter(([, source, { origins, other }]) =>
      [...origins, other].every((one) => (one ?? source).address.family === source.address.family),
    );
  fc.assert(
    fc.property(ofOneFamily, ([datagram, source, { origins, other }]) => {
      const [here, port] = origins.map((origin, socket) => origin && { socket, origin });
      const routes = createReplyRoutes({
        endpoint: here ?? { socket: 0 },
        software: 'Nexodus',
        changed: { port },
        other,
      });
      const { reply = datagram } = answerOne(responder(), datagram, { source, routes });
      const { family } = source.address;
      expect(reply.length).toBeLessThanOrEqual(datagram.length + GROWTH_BYTES[family]);
      expect(
        (reply.length + HEADER_BYTES[family]) / (datagram.length + HEADER_BYTES[family]),
      ).toBeLessThanOrEqual(2.5);
      expect(reply.subarray(4, 20)).toEqual(datagram.subarray(4, 20));
    }),
    { numRuns: 300 },
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
    fc.property(anything, endpoint, (datagram, source) => {
      const { reply } = answerOne(responder(), datagram, { source, routes: PLAIN });
      expect(reply && decodeStunMessage(reply).class).not.toBe('request');
      expect(reply && answerOne(responder(), reply, { source }).reply).toBeUndefined();
    }),
    { numRuns: fuzzRuns(2_000) },
  );
});
