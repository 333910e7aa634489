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
import { answerBinding, type Verdict } from './binding-responder.ts';
import { SourceLimiter } from './source-limiter.ts';

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
const from = (address: string, port = 40_000) => ({ address: parseIpAddress(address), port });
const generous = () => new SourceLimiter({ ratePerSecond: 1_000, burst: 1_000, tableSize: 8 });
const ask = (datagram: Uint8Array, source = from('192.0.2.1')): Verdict =>
  answerBinding(datagram, source, { limiter: generous(), nowMs: 0 });
const replyOf = (verdict: Verdict): StunMessage | undefined =>
  'reply' in verdict ? decodeStunMessage(verdict.reply) : undefined;

describe('a Binding request', () => {
  test.each(['192.0.2.1', '2001:db8::1'])('is answered with the address it came from', (text) => {
    const verdict = ask(request(), from(text, 54_321));
    expect(verdict.kind).toBe('answered');
    expect(replyOf(verdict)).toEqual({
      class: 'success',
      method: BINDING_METHOD,
      transactionId,
      attributes: [
        { kind: 'xor-mapped-address', mapped: from(text, 54_321) },
        { kind: 'software', text: 'Nexodus' },
      ],
      hasFingerprint: true,
    });
  });

  test('is answered whatever optional attributes and credentials it carries', () => {
    const attributes = [
      other(0x8029),
      other(attributeType.username),
      other(attributeType.messageIntegrity, new Uint8Array(20)),
    ];
    expect(ask(request({ attributes, hasFingerprint: true })).kind).toBe('answered');
  });

  test('is refused with the types that must be understood and are not, each named once', () => {
    const verdict = ask(request({ attributes: [other(0x7f01), other(0x7f02), other(0x7f01)] }));
    expect(verdict.kind).toBe('refused');
    expect(replyOf(verdict)).toMatchObject({
      class: 'error',
      transactionId,
      attributes: [
        { kind: 'error-code', code: 420 },
        { kind: 'unknown-attributes', types: [0x7f01, 0x7f02] },
        { kind: 'software' },
      ],
    });
  });

  test.each([
    ['CHANGE-REQUEST', 0x0003],
    ['PADDING', 0x0026],
    ['RESPONSE-PORT', 0x0027],
  ])('that asks for %s is refused', (_name, type) => {
    expect(ask(request({ attributes: [other(type)] })).kind).toBe('refused');
  });

  test('over the rate of its source gets nothing', () => {
    const limiter = new SourceLimiter({ ratePerSecond: 1, burst: 2, tableSize: 8 });
    const kinds = [0, 0, 0, 1_000].map(
      (nowMs) => answerBinding(request(), from('192.0.2.1'), { limiter, nowMs }).kind,
    );
    expect(kinds).toEqual(['answered', 'answered', 'limited', 'answered']);
  });
});

describe('nothing is sent', () => {
  test.each(['success', 'error', 'indication'] as const)('for a message of class %s', (kind) => {
    expect(ask(request({ class: kind }))).toEqual({ kind: 'ignored', reason: 'not-a-request' });
  });

  test('for the answers that this server gives, so that two never talk to each other', () => {
    for (const attributes of [[], [other(0x7f01)]]) {
      const verdict = ask(request({ attributes }));
      const reply = 'reply' in verdict ? verdict.reply : new Uint8Array();
      expect(ask(reply)).toEqual({ kind: 'ignored', reason: 'not-a-request' });
    }
  });

  test('for a method other than Binding', () => {
    expect(ask(request({ method: 0x003 }))).toEqual({ kind: 'ignored', reason: 'method' });
  });

  test('for what is not STUN, among it requests of the older protocol without the cookie', () => {
    const classic = request();
    classic[4] = 0;
    for (const datagram of [new Uint8Array(), Uint8Array.from([1, 0, 0, 0]), classic]) {
      expect(ask(datagram)).toEqual({ kind: 'ignored', reason: 'not-stun' });
    }
  });

  test('for a request whose fingerprint is wrong', () => {
    const broken = request({ hasFingerprint: true });
    broken[8] = 0xff;
    expect(ask(broken)).toEqual({ kind: 'ignored', reason: 'malformed' });
  });

  test.each([
    ['192.0.2.1', 0],
    ['192.0.2.1', 53],
    ['192.0.2.1', 123],
    ['2001:db8::1', 1_023],
    ['0.0.0.0', 40_000],
    ['224.0.0.1', 40_000],
    ['255.255.255.255', 40_000],
    ['ff02::1', 40_000],
  ])('to %s port %i, where a forged source would do harm', (address, port) => {
    expect(ask(request(), from(address, port))).toEqual({ kind: 'ignored', reason: 'source' });
  });

  test('for strangers to the protocol a source loses none of its tokens', () => {
    const limiter = new SourceLimiter({ ratePerSecond: 1, burst: 1, tableSize: 8 });
    const source = from('192.0.2.1');
    answerBinding(new Uint8Array(), source, { limiter, nowMs: 0 });
    expect(limiter.size).toBe(0);
    expect(answerBinding(request(), source, { limiter, nowMs: 0 }).kind).toBe('answered');
  });
});
