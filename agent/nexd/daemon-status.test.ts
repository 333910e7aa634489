import type { Peer } from '@nexodus/contracts/nexd';
import { expect, test } from 'vitest';
import { findPeer } from './daemon-status.ts';

const peer: Peer = {
  deviceId: '01a20a74-9273-79c6-9fd2-82f0e4867cd5',
  hostname: 'web1',
  ipv4Address: '100.64.0.9',
  ipv6Address: 'fd00::9',
  online: true,
  endpoint: '',
  latestHandshakeSeconds: 0n,
  rxBytes: 0n,
  txBytes: 0n,
  wireguardPublicKey: '',
  refused: '',
  pathKind: '',
  relayId: '',
  pathReason: '',
};

test.for([
  'web1',
  'WEB1',
  'web1.default.nexodus',
  'web1.default.nexodus.',
  peer.deviceId,
  '100.64.0.9',
  'FD00::9',
])('a peer is found by %s', (name) => {
  expect(findPeer([peer], 'default', name)).toBe(peer);
});

test.for(['web', 'web1.other.nexodus', '100.64.0.1', ''])('nobody is called %j', (name) => {
  expect(findPeer([peer], 'default', name)).toBeUndefined();
});

test('a refused peer without addresses does not answer to the empty name', () => {
  const refused = { ...peer, ipv4Address: '', ipv6Address: '' };
  expect(findPeer([refused], 'default', '')).toBeUndefined();
});
