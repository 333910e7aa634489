import { expect, test } from 'vitest';
import { renderPeerPorts } from './peer-ports-ruleset.ts';

test('packets of one peer leave from another port and come back to the tunnel’s', () => {
  const ports = [
    { peer: '198.51.100.7:51820', ownPort: 40_001 },
    { peer: '[2001:db8::7]:4000', ownPort: 40_002 },
  ];
  const rules = renderPeerPorts('nx0', 51_820, ports).split('\n');
  expect(rules.filter((line) => / set /.test(line)).map((line) => line.trim())).toEqual([
    'ip daddr 198.51.100.7 udp dport 51820 udp sport 51820 udp sport set 40001',
    'ip6 daddr 2001:db8::7 udp dport 4000 udp sport 51820 udp sport set 40002',
    'ip saddr 198.51.100.7 udp sport 51820 udp dport 40001 udp dport set 51820',
    'ip6 saddr 2001:db8::7 udp sport 4000 udp dport 40002 udp dport set 51820',
  ]);
});

test('no ports are no table', () => {
  expect(renderPeerPorts('nx0', 51_820, [])).toBe(
    '\nadd table inet nexodus_nx0_peers\ndelete table inet nexodus_nx0_peers\n',
  );
});
