import { expect, test } from 'vitest';
import { allocateRequest, channelBindRequest, relayedAddress } from './turn-messages.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('an allocate request wants UDP', () => {
  const request = hex(allocateRequest());
  expect(request.slice(0, 16)).toBe('000300102112a442');
  expect(request.slice(40)).toBe('0019000411000000' + '000d000400000e10');
});

test('a channel is bound to a peer whose address is masked as RFC 5769 masks 192.0.2.1:32853', () => {
  const request = hex(channelBindRequest({ address: '192.0.2.1', port: 32_853 }));
  expect(request.slice(40)).toBe('000c0004400000000012' + '00080001a147e112a643');
});

test('the relayed address is read from the answer to the request alone', () => {
  const request = allocateRequest();
  const answer = Buffer.concat([
    Buffer.from('01030014', 'hex'),
    request.subarray(4, 20),
    Buffer.from('8022000301020300' + '001600080001a147e112a643', 'hex'),
  ]);
  expect(relayedAddress(answer, request)).toEqual({ address: '192.0.2.1', port: 32_853 });
  expect(relayedAddress(answer, allocateRequest())).toBeUndefined();
  expect(relayedAddress(answer.subarray(0, 19), request)).toBeUndefined();
});
