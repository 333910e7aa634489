import type { Peer } from '@nexodus/contracts/nexd';
import { expect, test } from 'vitest';
import { peerChanges, peerLines } from './peer-changes.ts';

const peer = (hostname: string, more: Partial<Peer> = {}): Peer => ({
  deviceId: `id-${hostname}`,
  hostname,
  ipv4Address: '100.64.0.2',
  ipv6Address: '',
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
  ...more,
});

test('a peer is told with everything that is known of it', () => {
  const lines = peerLines([
    peer('web', { pathKind: 'relay-udp', relayId: 'r1', pathReason: 'both NATs are hard' }),
  ]);
  expect([...lines.values()].map(({ line }) => line)).toEqual([
    'web: ipv4 100.64.0.2, online yes, path relay-udp r1, received 0, sent 0, why not direct both NATs are hard',
  ]);
});

test('only what changed is told, and who is gone', () => {
  const before = peerLines([peer('a'), peer('b'), peer('c')]);
  const after = peerLines([peer('a'), peer('b', { online: false }), peer('d')]);
  expect(peerChanges(before, after)).toEqual([
    'b: ipv4 100.64.0.2, online no, received 0, sent 0',
    'd: ipv4 100.64.0.2, online yes, received 0, sent 0',
    'c: gone',
  ]);
  expect(peerChanges(after, after)).toEqual([]);
});
