import { expect, test } from 'vitest';
import { renderSourcePins } from './source-pin-ruleset.ts';

test('a pin rewrites data of one source to the tunnel’s port, and nothing else', () => {
  const pins = [
    { from: '203.0.113.10:20000', to: '198.51.100.7:51820' },
    { from: '[2001:db8::10]:20002', to: '[2001:db8::7]:4000' },
  ];
  expect(
    renderSourcePins('nx0', 51_820, pins)
      .split('\n')
      .filter((line) => line.includes('saddr')),
  ).toEqual([
    '    ip saddr 203.0.113.10 udp sport 20000 udp dport 51820 @th,64,32 0x04000000 ip saddr set 198.51.100.7 udp sport set 51820 counter',
    '    ip6 saddr 2001:db8::10 udp sport 20002 udp dport 51820 @th,64,32 0x04000000 ip6 saddr set 2001:db8::7 udp sport set 4000 counter',
  ]);
});

test('no pins are no table', () => {
  expect(renderSourcePins('nx0', 51_820, [])).toBe(
    '\nadd table inet nexodus_nx0_pin\ndelete table inet nexodus_nx0_pin\n',
  );
});

test('a pin across families is refused', () => {
  const pin = { from: '203.0.113.10:20000', to: '[2001:db8::7]:51820' };
  expect(() => renderSourcePins('nx0', 51_820, [pin])).toThrow(RangeError);
});
