import { WireGuardPrivateKey, formatX25519PublicKey } from '@nexodus/wireguard';
import { describe, expect, test } from 'vitest';
import { planDevice } from './device-plan.ts';

const publicKey = formatX25519PublicKey(WireGuardPrivateKey.generate().publicKey);
const other = formatX25519PublicKey(WireGuardPrivateKey.generate().publicKey);
const peer = { publicKey, addresses: ['100.64.0.7', 'FD00::0007/128'] };

describe('planDevice', () => {
  test('makes allowed addresses, routes and firewall from the same prefixes, canonical', () => {
    const prefixes = ['10.9.1.2/16'];
    const plan = planDevice({ addresses: ['100.64.0.1'], peers: [{ ...peer, prefixes }] });
    const own = ['100.64.0.7/32', 'fd00::7/128'];
    expect(plan).toMatchObject({
      mtuBytes: 1280,
      listenPort: 0,
      addresses: ['100.64.0.1/32'],
      routes: [...own, '10.9.0.0/16'],
      peers: [{ publicKey, allowedIps: [...own, '10.9.0.0/16'], persistentKeepaliveSeconds: 0 }],
      firewall: {
        ownAddresses: ['100.64.0.1/32'],
        peerAddresses: own,
        peerPrefixes: ['10.9.0.0/16'],
      },
    });
  });

  test('lets nothing through while no policy is known, and keeps the peers', () => {
    const plan = planDevice({ addresses: ['100.64.0.1'], peers: [peer], policy: 'drop-all' });
    expect(plan.firewall).toMatchObject({ peerAddresses: [], peerPrefixes: [] });
    expect(plan.peers).toHaveLength(1);
  });

  test.each([
    ['a prefix as own address', { addresses: ['100.64.0.0/10'], peers: [] }],
    ['a name as own address', { addresses: ['localhost'], peers: [] }],
    ['an octal look-alike', { addresses: ['100.64.0.010'], peers: [] }],
    ['a key that is none', { addresses: [], peers: [{ ...peer, publicKey: 'AAAA' }] }],
    ['a key twice', { addresses: [], peers: [peer, { ...peer, addresses: [] }] }],
    ['an address of two peers', { addresses: [], peers: [peer, { ...peer, publicKey: other }] }],
    ['its own address at a peer', { addresses: ['100.64.0.7'], peers: [peer] }],
    ['an endpoint by name', { addresses: [], peers: [{ ...peer, endpoint: 'example.org:1' }] }],
    ['port 65536', { addresses: [], peers: [], listenPort: 65_536 }],
    ['an MTU below IPv6', { addresses: [], peers: [], mtuBytes: 1279 }],
  ])('refuses %s', (_, intent) => {
    expect(() => planDevice(intent)).toThrow(expect.objectContaining({ reason: 'invalid-plan' }));
  });
});
