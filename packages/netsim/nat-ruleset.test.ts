import { describe, expect, test } from 'vitest';
import { renderNatRuleset } from './nat-ruleset.ts';
import type { NatRules } from './nat-ruleset.ts';

const common: NatRules = {
  kind: 'eim-apdf',
  hairpin: false,
  isUdpBlocked: false,
  outside: { interfaceName: 'eth0', ipv4: '203.0.113.10' },
  inside: { interfaceName: 'eth1' },
  mappingLifetimeSeconds: 120,
};

describe('renderNatRuleset', () => {
  test('makes the common router out of plain masquerading and drops alone', () => {
    const ruleset = renderNatRuleset(common);
    expect(ruleset).toMatch(/oifname "eth0" masquerade$/m);
    expect(ruleset).not.toMatch(/dnat|snat|@|fully-random/);
  });

  test('drops UDP before anything lets it pass', () => {
    const lines = renderNatRuleset({ ...common, isUdpBlocked: true }).split('\n');
    const at = (text: string): number => lines.findIndex((line) => line.includes(text));
    const forward = at('chain forward');
    const accept = lines.findIndex((line, index) => index > forward && line.includes('accept'));
    expect(at('meta l4proto udp drop')).toBeGreaterThan(forward);
    expect(at('meta l4proto udp drop')).toBeLessThan(accept);
  });

  test('refuses hairpinning where a machine has a mapping per destination', () => {
    expect(() => renderNatRuleset({ ...common, kind: 'apdm-apdf', hairpin: true })).toThrow(
      RangeError,
    );
  });
});
