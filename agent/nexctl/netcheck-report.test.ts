import type { CheckNetworkResponse, FamilyCheck, RelayCheck } from '@nexodus/contracts/nexd';
import { describe, expect, test } from 'vitest';
import { relayCheckView, reportLines } from './netcheck-report.ts';

const nat: FamilyCheck = {
  usable: true,
  kind: 'nat',
  name: 'eim-apdf',
  mapping: 'eim',
  filtering: 'apdf',
  portPreserved: true,
  hairpin: 'no',
  mapped: [
    { server: '192.0.2.1:3478', mapped: '203.0.113.7:51820' },
    { server: '192.0.2.2:3478', mapped: '203.0.113.7:51820' },
  ],
  reasons: [],
};
const report: CheckNetworkResponse = {
  tunnelPort: 51_820,
  tunnelPortSeen: true,
  ipv4: nat,
  ipv6: { ...nat, usable: false },
  localAddresses: ['192.168.1.2'],
  relays: [],
  udp443: 'no-server',
  mtu: { mtuBytes: 1_500, interfaceName: 'eth0', address: '192.0.2.1' },
  proxy: '',
  advice: [],
};
const relay: RelayCheck = {
  relayId: 'r1',
  home: true,
  available: true,
  udpRoundTripUs: 12_345,
  udpAddresses: ['192.0.2.1:3478'],
  url: 'https://r1.example:443',
  tlsConnectUs: 140_600,
  tlsProblem: '',
};

const textOf = (lines: ReturnType<typeof reportLines>, name: string) =>
  lines.find((line) => line.name === name)?.text;
const ipv4 = (family: Partial<FamilyCheck>) =>
  textOf(reportLines({ ...report, ipv4: { ...nat, ...family } }), 'IPv4');

test('a report of the common case', () => {
  expect(reportLines(report)).toEqual([
    { name: 'UDP port', text: '51820' },
    { name: 'own', text: '192.168.1.2' },
    {
      name: 'IPv4',
      text: 'common NAT: lets in what answers; direct paths by sending from both sides (eim-apdf: endpoint-independent mapping, address and port-dependent filtering)',
    },
    { name: '  seen as', text: '203.0.113.7:51820, port kept (by all 2 servers)' },
    { name: '  hairpin', text: 'no: machines here reach each other by inside addresses only' },
    { name: 'IPv6', text: 'no address outside of the tunnel, or no route' },
    { name: 'UDP/443', text: 'no server listens there' },
    { name: 'MTU', text: '1500 bytes by eth0 towards 192.0.2.1' },
  ]);
});

describe('a family is told', () => {
  test.each<[string, Partial<FamilyCheck>, RegExp]>([
    ['that is open', { kind: 'open' }, /^open: no NAT, no firewall$/],
    ['behind a firewall', { kind: 'firewall' }, /^firewall, no NAT: .*port-dependent filtering/],
    ['without datagrams', { kind: 'udp-blocked' }, /^UDP is blocked/],
    ['behind a hard NAT', { mapping: 'apdm', name: 'apdm-apdf' }, /^hard NAT: .*apdm-apdf/],
    [
      'of which too little is known',
      { mapping: 'unknown', name: 'unknown', reasons: ['one-server'] },
      /^NAT \(mapping not known, .*\): only one STUN server answers$/,
    ],
    [
      'of which nothing is known',
      { kind: 'unknown', reasons: ['no-server'] },
      /^not known: no STUN/,
    ],
    ['by a newer daemon', { kind: 'something', reasons: ['new'] }, /^not known$/],
    [
      'with kinds of a newer daemon',
      { mapping: 'xim', name: 'xim-apdf' },
      /^NAT \(xim-apdf: xim, /,
    ],
  ])('%s', (_what, family, expected) => {
    expect(ipv4(family)).toMatch(expected);
  });
});

test('a NAT that shows several addresses has a line for each', () => {
  const mapped = nat.mapped.map(({ server }, at) => ({ server, mapped: `203.0.113.7:${at + 1}` }));
  const lines = reportLines({ ...report, ipv4: { ...nat, mapped, portPreserved: false } });
  expect(lines.slice(3, 5)).toEqual([
    { name: '  seen as', text: '203.0.113.7:1, another port (by 1 server)' },
    { name: '', text: '203.0.113.7:2, another port (by 1 server)' },
  ]);
});

test('what was not the port of the tunnel is said to be another', () => {
  const lines = reportLines({
    ...report,
    tunnelPortSeen: false,
    proxy: 'http://p:1',
    mtu: undefined,
  });
  expect(textOf(lines, 'UDP port')).toBe('51820 (another one was seen from outside)');
  expect(textOf(lines, 'proxy')).toBe('relays are reached through http://p:1');
  expect(textOf(lines, 'MTU')).toBe('no way to a server');
});

test('a relay has a row with its latency, its lanes, and what is wrong with it', () => {
  const row = (more: Partial<RelayCheck>) =>
    relayCheckView.columns.map(({ text }) => text({ ...relay, ...more }));
  expect(row({})).toEqual(['r1 *', '12.3 ms', 'yes (192.0.2.1:3478)', 'yes (TCP 443, 141 ms)', '']);
  expect(
    row({
      home: false,
      available: false,
      udpRoundTripUs: undefined,
      tlsConnectUs: undefined,
      tlsProblem: 'nothing listens',
    }),
  ).toEqual([
    'r1',
    '-',
    'no answer (192.0.2.1:3478)',
    'no (TCP 443)',
    'takes no new sessions; nothing listens',
  ]);
  expect(row({ udpAddresses: [] })[2]).toBe('-');
});
