import { describe, expect, test } from 'vitest';
import { advise } from './advise.ts';
import type { FamilyReport, NetworkReport, RelayReport } from './network-report.ts';
import type { NatVerdict } from './nat-verdict.ts';

const place = { address: '203.0.113.1', port: 51_820 };
const easy: NatVerdict = {
  kind: 'nat',
  mapping: 'eim',
  filtering: 'apdf',
  isPortPreserved: true,
  hairpin: 'no',
  mapped: [{ server: { address: '192.0.2.1', port: 3_478 }, mapped: place }],
  reasons: [],
};
const family = (verdict: Partial<NatVerdict> = {}): FamilyReport => ({
  isUsable: true,
  verdict: { ...easy, ...verdict },
});
const absent: FamilyReport = {
  isUsable: false,
  verdict: { ...easy, kind: 'unknown', mapped: [], reasons: [{ code: 'no-server' }] },
};
const blocked = family({
  kind: 'udp-blocked',
  mapping: 'unknown',
  filtering: 'unknown',
  mapped: [],
});
const relay: RelayReport = {
  relayId: 'relay',
  isHome: true,
  isOpen: true,
  udpRoundTripMs: 3,
  udpPlaces: ['192.0.2.1:3478'],
  origin: 'https://192.0.2.1:443',
  tlsMs: 9,
  tlsProblem: '',
};
const report: NetworkReport = {
  isMapKnown: true,
  tunnelPort: 51_820,
  isTunnelPort: true,
  ipv4: family(),
  ipv6: absent,
  ownAddresses: [{ interfaceName: 'eth0', address: '192.168.1.2', family: 4, isTemporary: false }],
  relays: [relay],
  udp443: 'no-server',
  mtu: { mtuBytes: 1_500, interfaceName: 'eth0', address: '192.0.2.1' },
  proxy: '',
};

const codes = (overrides: Partial<NetworkReport>) =>
  advise({ ...report, ...overrides }).map(({ code }) => code);

describe('advice', () => {
  test('is not given where nothing stands in the way', () => {
    expect(codes({})).toEqual([]);
  });

  test.each<[string, Partial<NetworkReport>, string[]]>([
    ['no network', { ipv4: absent, relays: [{ ...relay, tlsMs: undefined }] }, ['no-network']],
    ['a proxy as the only way', { ipv4: absent }, ['udp-blocked']],
    ['blocked datagrams', { ipv4: blocked }, ['udp-blocked']],
    ['datagrams blocked in one family alone', { ipv6: blocked }, []],
    ['a hard NAT without IPv6', { ipv4: family({ mapping: 'apdm' }) }, ['hard-nat', 'no-ipv6']],
    [
      'a hard NAT beside IPv6',
      { ipv4: family({ mapping: 'adm' }), ipv6: family({ kind: 'firewall' }) },
      ['hard-nat'],
    ],
    [
      'a NAT of which too little is known',
      { ipv4: family({ filtering: 'unknown' }) },
      ['nat-unknown'],
    ],
    [
      'no STUN server',
      { ipv4: family({ kind: 'unknown', mapped: [], reasons: [{ code: 'no-server' }] }) },
      ['no-stun-server'],
    ],
    ['another port than the tunnel has', { isTunnelPort: false }, ['port-not-shared']],
    ['a service that was not heard of yet', { isMapKnown: false, relays: [] }, ['no-map']],
    ['no relay', { relays: [] }, ['no-relay']],
    [
      'a relay that nothing reaches',
      { relays: [{ ...relay, tlsMs: undefined, udpRoundTripMs: undefined }] },
      ['relay-unreachable', 'relay-udp-silent'],
    ],
    [
      'a relay that is about to end',
      { relays: [{ ...relay, isOpen: false, tlsMs: undefined }] },
      [],
    ],
    [
      'small packets',
      { mtu: { mtuBytes: 1_300, interfaceName: 'ppp0', address: '192.0.2.1' } },
      ['small-mtu'],
    ],
  ])('names %s', (_what, overrides, expected) => {
    expect(codes(overrides)).toEqual(expected);
  });

  test('names the port to forward, and the machine to forward it to', () => {
    const [first] = advise({ ...report, ipv4: family({ mapping: 'apdm' }) });
    expect(first?.text).toContain(
      'start nexd with --listen-port 51820, so that the port stays, and forward UDP 51820 at the router to 192.168.1.2',
    );
  });

  test('is one line each, without an end that the printer adds', () => {
    const all = [
      ...advise({ ...report, ipv4: blocked, relays: [] }),
      ...advise({ ...report, ipv4: family({ mapping: 'apdm' }), isTunnelPort: false }),
    ];
    for (const { text } of all) expect(text).toMatch(/^[^\n]+[^.\s]$/);
  });
});
