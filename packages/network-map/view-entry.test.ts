import { EntryValue, type PeerEntry, type SelfEntry } from '@nexodus/contracts/agent';
import { expect, test } from 'vitest';
import { decodeView } from './decode-view.ts';
import { decodeEntry, encodePeerEntry, encodeSelfEntry, peerKey, removalOf } from './view-entry.ts';

const self: SelfEntry = {
  deviceId: 'd0',
  vpcId: 'v',
  vpcName: 'default',
  organizationId: 'o',
  hostname: 'a',
  ipv4Address: '100.64.0.1',
  ipv6Address: 'fd00::1',
  expireTimeSeconds: 1_900_000_000n,
  bindingSerial: 3n,
};
const peer: PeerEntry = {
  deviceId: 'd1',
  hostname: 'b',
  devicePublicKey: Buffer.alloc(32, 1),
  binding: undefined,
  ipv4Address: '100.64.0.2',
  ipv6Address: 'fd00::2',
};

test('what is encoded is decoded', () => {
  const one = encodeSelfEntry(self);
  const two = encodePeerEntry(peer);
  expect(decodeEntry(one.key, one.value)).toEqual({ kind: 'self', self });
  expect(decodeEntry(two.key, two.value)).toEqual({ kind: 'peer', peer });
});

test('a peer under another key, or a nameless one, is malformed', () => {
  const { value } = encodePeerEntry(peer);
  expect(decodeEntry(peerKey('d2'), value).kind).toBe('malformed');
  expect(decodeEntry('self', value).kind).toBe('malformed');
  const nameless = encodePeerEntry({ ...peer, deviceId: '' });
  expect(decodeEntry(nameless.key, nameless.value).kind).toBe('malformed');
});

test('a kind of a newer service is unknown, and malformed under a key of ours', () => {
  const newer = Buffer.from([0x9a, 0x06, 0x01, 0x00]);
  expect(EntryValue.decode(newer).kind).toBeUndefined();
  expect(decodeEntry('grant/1', newer).kind).toBe('unknown');
  expect(decodeEntry('peer/d1', newer).kind).toBe('malformed');
});

test('a removal has no value', () => {
  expect(removalOf('peer/d1')).toEqual({ key: 'peer/d1', value: Buffer.alloc(0) });
});

test('a view is read whole, and what is malformed is named', () => {
  const entries = [encodeSelfEntry(self), encodePeerEntry(peer)];
  const view = decodeView(
    new Map([
      ...entries.map(({ key, value }) => [key, value] as const),
      ['peer/d9', Buffer.from([0xff])],
      ['grant/1', Buffer.from([0x9a, 0x06, 0x01, 0x00])],
    ]),
  );
  expect(view.self?.hostname).toBe('a');
  expect([...view.peers.keys()]).toEqual(['d1']);
  expect(view.malformedKeys).toEqual(['peer/d9']);
});
