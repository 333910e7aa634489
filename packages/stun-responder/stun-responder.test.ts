import { parseIpAddress } from '@nexodus/netip';
import {
  attributeType,
  BINDING_METHOD,
  decodeStunMessage,
  encodeStunMessage,
  type StunAttribute,
  type StunMessage,
} from '@nexodus/stun-codec';
import { describe, expect, test } from 'vitest';
import { createReplyRoutes, type ReplyRoutes } from './reply-routes.ts';
import { answerOne, createLimiter, generous, type Outcome } from './received.fixture.ts';
import { StunResponder } from './stun-responder.ts';
import { VERDICTS } from './verdict.ts';

const transactionId = Uint8Array.from({ length: 12 }, (_unused, index) => index);
const request = (change: Partial<StunMessage> = {}): Uint8Array =>
  encodeStunMessage({
    class: 'request',
    method: BINDING_METHOD,
    transactionId,
    attributes: [],
    hasFingerprint: false,
    ...change,
  });
const other = (type: number, value = new Uint8Array(4)): StunAttribute => ({
  kind: 'other',
  type,
  value,
});
const change = (changesAddress: boolean, changesPort: boolean): StunAttribute => ({
  kind: 'change-request',
  changesAddress,
  changesPort,
});
const at = (address: string, port = 40_000) => ({ address: parseIpAddress(address), port });
const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
const ask = (datagram: Uint8Array, source = at('192.0.2.1'), routes?: ReplyRoutes): Outcome =>
  answerOne(new StunResponder({ limiter: generous(), software: 'Nexodus' }), datagram, {
    source,
    routes,
  });
const messageOf = ({ reply }: Outcome): StunMessage | undefined =>
  reply && decodeStunMessage(reply);

describe('a Binding request', () => {
  test.each(['192.0.2.1', '2001:db8::1', '127.0.0.1', '::1', 'fe80::1'])(
    'from %s is answered with the address it came from',
    (text) => {
      const outcome = ask(request(), at(text, 54_321));
      expect(outcome).toMatchObject({ verdict: VERDICTS.answered, socket: 7 });
      expect(messageOf(outcome)).toEqual({
        class: 'success',
        method: BINDING_METHOD,
        transactionId,
        attributes: [
          { kind: 'xor-mapped-address', mapped: at(text, 54_321) },
          { kind: 'software', text: 'Nexodus' },
        ],
        hasFingerprint: true,
      });
    },
  );

  test('of RFC 5769 section 2.1 is refused for the one type that must be understood and is not', () => {
    const sample = bytes(`
      00010058 2112a442 b7e7a701 bc34d686 fa87dfae
      80220010 5354554e 20746573 7420636c 69656e74
      00240004 6e0001ff 80290008 932ff9b1 51263b36
      00060009 6576746a 3a683676 59202020
      00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2 80280004 e57a3bcf`);
    const PRIORITY = 0x0024;
    expect(messageOf(ask(sample))?.attributes).toContainEqual({
      kind: 'unknown-attributes',
      types: [PRIORITY],
    });
  });

  test('of RFC 5769 section 2.4, with credentials, is answered', () => {
    const sample = bytes(`
      00010060 2112a442 78ad3433 c6ad72c0 29da412e
      00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000
      0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341
      0014000b 6578616d 706c652e 6f726700
      00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666`);
    expect(ask(sample).verdict).toBe(VERDICTS.answered);
  });

  test('is answered whatever optional attributes and credentials it carries', () => {
    const attributes = [
      other(0x8029),
      other(attributeType.username),
      other(attributeType.messageIntegrity, new Uint8Array(20)),
      other(0x7f01),
    ];
    expect(ask(request({ attributes, hasFingerprint: true })).verdict).toBe(VERDICTS.answered);
  });

  test('is refused with the types that must be understood and are not, each named once', () => {
    const attributes = [other(0x7f01), other(0x7f02), other(0x7f01), other(0x0001)];
    const outcome = ask(request({ attributes }));
    expect(outcome).toMatchObject({ verdict: VERDICTS.refused, socket: 7 });
    expect(messageOf(outcome)).toEqual({
      class: 'error',
      method: BINDING_METHOD,
      transactionId,
      attributes: [
        { kind: 'error-code', code: 420, reason: 'Unknown Attribute' },
        { kind: 'unknown-attributes', types: [0x7f01, 0x7f02, 0x0001] },
        { kind: 'software', text: 'Nexodus' },
      ],
      hasFingerprint: true,
    });
  });

  test('carries no unknown type over to the next', () => {
    const responder = new StunResponder({ limiter: generous(), software: 'Nexodus' });
    const source = at('192.0.2.1');
    answerOne(responder, request({ attributes: [other(0x7f01), other(0x7f02)] }), { source });
    const next = answerOne(responder, request({ attributes: [other(0x7f01)] }), { source });
    expect(messageOf(next)?.attributes[1]).toEqual({ kind: 'unknown-attributes', types: [0x7f01] });
    expect(answerOne(responder, request(), { source }).verdict).toBe(VERDICTS.answered);
  });

  test.each([
    ['CHANGE-REQUEST, even one that changes nothing', change(false, false)],
    ['PADDING', other(attributeType.padding)],
    ['RESPONSE-PORT', other(attributeType.responsePort)],
  ])('that asks for %s is refused', (_name, attribute) => {
    expect(ask(request({ attributes: [attribute] })).verdict).toBe(VERDICTS.refused);
  });

  test('over the rate of its source gets nothing', () => {
    const limiter = createLimiter({ ratePerSecond: 1, burst: 2, tableSize: 8 });
    const responder = new StunResponder({ limiter, software: 'Nexodus' });
    const verdicts = [1, 1, 1, 1_001].map(
      (nowMs) => answerOne(responder, request(), { source: at('192.0.2.1'), nowMs }).verdict,
    );
    const { answered, limited } = VERDICTS;
    expect(verdicts).toEqual([answered, answered, limited, answered]);
  });
});

describe('a server with two addresses and two ports', () => {
  const [here, port, address, both] = [
    { socket: 0, origin: at('192.0.2.1', 3_478) },
    { socket: 1, origin: at('192.0.2.1', 3_479) },
    { socket: 2, origin: at('192.0.2.2', 3_478) },
    { socket: 3, origin: at('192.0.2.2', 3_479) },
  ] as const;
  const software = 'Nexodus';
  const routes = createReplyRoutes({
    endpoint: here,
    software,
    changed: { port, address, both },
    other: both.origin,
  });

  test.each([
    [undefined, here],
    [change(false, false), here],
    [change(false, true), port],
    [change(true, false), address],
    [change(true, true), both],
  ])('answers %o from where it is asked to, and tells where that is', (attribute, from) => {
    const attributes = attribute ? [attribute] : [];
    const outcome = ask(request({ attributes }), at('198.51.100.1'), routes);
    expect(outcome.socket).toBe(from.socket);
    expect(messageOf(outcome)?.attributes).toEqual([
      { kind: 'xor-mapped-address', mapped: at('198.51.100.1') },
      { kind: 'response-origin', origin: from.origin },
      { kind: 'other-address', other: both.origin },
      { kind: 'software', text: software },
    ]);
  });

  test('with ports alone refuses to change the address, from where it was asked', () => {
    const ports = createReplyRoutes({ endpoint: here, software, changed: { port } });
    const wanted = request({ attributes: [change(true, true)] });
    const outcome = ask(wanted, at('198.51.100.1'), ports);
    expect(outcome).toMatchObject({ verdict: VERDICTS.refused, socket: here.socket });
    expect(messageOf(outcome)?.attributes).toContainEqual({
      kind: 'unknown-attributes',
      types: [attributeType.changeRequest],
    });
    expect(ask(request({ attributes: [change(false, true)] }), undefined, ports).socket).toBe(1);
  });
});

describe('nothing is sent', () => {
  test.each(['success', 'error', 'indication'] as const)('for a message of class %s', (kind) => {
    expect(ask(request({ class: kind }))).toEqual({ verdict: VERDICTS.notARequest });
  });

  test('for the answers that this server gives, so that two never talk to each other', () => {
    for (const attributes of [[], [other(0x7f01)]]) {
      const { reply = new Uint8Array() } = ask(request({ attributes }));
      expect(ask(reply)).toEqual({ verdict: VERDICTS.notARequest });
    }
  });

  test('for a method other than Binding', () => {
    expect(ask(request({ method: 0x003 }))).toEqual({ verdict: VERDICTS.otherMethod });
  });

  test('for what is not STUN, among it requests of the older protocol without the cookie', () => {
    const classic = request();
    classic[4] = 0;
    const other443 = request();
    other443[0] = 0x40;
    for (const datagram of [new Uint8Array(), bytes('01000000'), classic, other443]) {
      expect(ask(datagram)).toEqual({ verdict: VERDICTS.notStun });
    }
  });

  test.each([
    ['a wrong fingerprint', (all: Uint8Array) => void (all[8] = 0xff)],
    ['a length that is not its own', (all: Uint8Array) => void (all[3] = 4)],
    ['a length that is no multiple of 4', (all: Uint8Array) => void (all[3] = 9)],
    ['an attribute that runs over the end', (all: Uint8Array) => void (all[23] = 5)],
    ['a fingerprint of no bytes', (all: Uint8Array) => void (all[23] = 0)],
  ])('for a request with %s', (_name, spoil) => {
    const broken = request({ hasFingerprint: true });
    spoil(broken);
    expect(ask(broken)).toEqual({ verdict: VERDICTS.malformed });
  });

  test('for a change request of another length', () => {
    const broken = Uint8Array.from([...request(), 0, 3, 0, 0]);
    broken[3] = 4;
    expect(ask(broken)).toEqual({ verdict: VERDICTS.malformed });
  });

  test('for a request longer than any path must carry whole', () => {
    const long = (length: number) =>
      ask(request({ attributes: [other(0x8000, new Uint8Array(length - 24))] })).verdict;
    expect(long(1_232)).toBe(VERDICTS.answered);
    expect(long(1_236)).toBe(VERDICTS.malformed);
  });

  test.each([
    ['192.0.2.1', 0],
    ['192.0.2.1', 53],
    ['192.0.2.1', 123],
    ['2001:db8::1', 1_023],
    ['0.0.0.0', 40_000],
    ['0.1.2.3', 40_000],
    ['224.0.0.1', 40_000],
    ['240.0.0.1', 40_000],
    ['255.255.255.255', 40_000],
    ['ff02::1', 40_000],
    ['::', 40_000],
    ['::ffff:192.0.2.1', 40_000],
  ])('to %s port %i, where a forged source would do harm', (address, port) => {
    expect(ask(request(), at(address, port))).toEqual({ verdict: VERDICTS.badSource });
  });

  test('for strangers to the protocol a source loses none of its tokens', () => {
    const limiter = createLimiter({ ratePerSecond: 1, burst: 1, tableSize: 8 });
    const responder = new StunResponder({ limiter, software: 'Nexodus' });
    const source = at('192.0.2.1');
    answerOne(responder, new Uint8Array(), { source });
    expect(answerOne(responder, request(), { source }).verdict).toBe(VERDICTS.answered);
  });
});

test('a name that would make answers too long is refused', () => {
  expect(() => createReplyRoutes({ endpoint: { socket: 0 }, software: 'x'.repeat(13) })).toThrow(
    RangeError,
  );
});
