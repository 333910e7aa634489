import { expect, test } from 'vitest';
import {
  createMac1State,
  createMac1Verifier,
  messageKind,
  parseWireGuardPublicKey,
  receiverIndex,
  senderIndex,
} from './index.ts';
import type { MessageView } from './index.ts';

/** An initiation of wireguard-go 0.0.20231211, and the public keys of its two ends. */
const INITIATOR = 'JOBjENtrzCpT9bpMqiCX7em+Go8m23Yfqt4oIL3pgQo=';
const RESPONDER = 'rBcr5kOhaL66VSOj+vwrF14JtEE5xLso/le6zvlmOUA=';
const INITIATION = Buffer.from(
  '01000000022cdf90b63452bc5ad1dca65288e97b94f5d410be00d738a8b05a55e94efe73483f67623a959c6d3479bb7cfccb134033ee9f21cc' +
    '42f21dc237a08decca011bda6f95c042f0ff4dd1559e06863ac281d3f475a89523bbde0e2590bf1d36e0d2b57eb8f1c6fb48cfe97c09690915' +
    'cdf43a9ac1a0d9e5a4731cd136c35b25b2b800000000000000000000000000000000',
  'hex',
);

const whole = (bytes: Uint8Array): MessageView => ({ bytes, offset: 0, length: bytes.length });
const view = (type: number, length: number): MessageView => {
  const bytes = new Uint8Array(length);
  bytes[0] = type;
  return whole(bytes);
};
const stateOf = (text: string) => createMac1State(parseWireGuardPublicKey(text));

test('a real initiation carries the mac1 of its receiver and of nobody else', async () => {
  const verify = await createMac1Verifier();
  expect(verify(await stateOf(RESPONDER), whole(INITIATION))).toBe(true);
  expect(verify(await stateOf(INITIATOR), whole(INITIATION))).toBe(false);
});

test('it is checked where it lies in a larger array, and again after others', async () => {
  const verify = await createMac1Verifier();
  const [right, wrong] = [await stateOf(RESPONDER), await stateOf(INITIATOR)];
  const bytes = new Uint8Array(400).fill(7);
  bytes.set(INITIATION, 100);
  for (let round = 0; round < 3; round += 1) {
    expect(verify(right, { bytes, offset: 100, length: 148 })).toBe(true);
    expect(verify(wrong, { bytes, offset: 100, length: 148 })).toBe(false);
    expect(verify(right, { bytes, offset: 99, length: 148 })).toBe(false);
  }
});

test('a change of any bit before mac2 is seen', async () => {
  const verify = await createMac1Verifier();
  const state = await stateOf(RESPONDER);
  for (let position = 0; position < 132; position += 1) {
    const changed = Uint8Array.from(INITIATION);
    changed[position] = (changed[position] ?? 0) ^ (1 << (position % 8));
    expect(verify(state, whole(changed))).toBe(false);
  }
});

test('what is too short for macs carries none', async () => {
  const verify = await createMac1Verifier();
  expect(verify(await stateOf(RESPONDER), whole(new Uint8Array(31)))).toBe(false);
});

test.each([
  ['initiation', 1, 148],
  ['response', 2, 92],
  ['cookieReply', 3, 64],
  ['data', 4, 32],
  ['data', 4, 1_452],
] as const)('%s is type %i with %i bytes', (kind, type, length) => {
  expect(messageKind(view(type, length))).toBe(kind);
});

test.each([
  ['an initiation of another length', view(1, 149)],
  ['a response of another length', view(2, 148)],
  ['a cookie reply of another length', view(3, 63)],
  ['data without room for its own header', view(4, 31)],
  ['type 0', view(0, 148)],
  ['type 5', view(5, 148)],
  ['nothing', view(4, 0)],
])('%s is no message', (_what, datagram) => {
  expect(messageKind(datagram)).toBeUndefined();
});

test.each([1, 2, 3])('a byte %i that is not zero makes it no message', (position) => {
  const datagram = view(4, 64);
  datagram.bytes[position] = 1;
  expect(messageKind(datagram)).toBeUndefined();
});

test('indexes are little endian and unsigned', () => {
  const bytes = Uint8Array.from([9, 2, 0, 0, 0, 1, 2, 3, 0xff, 4, 5, 6, 0xfe]);
  const message: MessageView = { bytes, offset: 1, length: 12 };
  expect(senderIndex(message)).toBe(0xff03_0201);
  expect(receiverIndex(message, 'data')).toBe(0xff03_0201);
  expect(receiverIndex(message, 'response')).toBe(0xfe06_0504);
});
