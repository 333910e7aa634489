import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ForwardingSwitch, type Settings } from './forwarding-switch.ts';

const IPV4 = '/proc/sys/net/ipv4/conf/eth0/forwarding';
const IPV6 = '/proc/sys/net/ipv6/conf/eth0';
const ALL_IPV6 = '/proc/sys/net/ipv6/conf/all/forwarding';
const FORCED = `${IPV6}/force_forwarding`;

/** Settings in memory; a path that is missing cannot be read. */
class MemorySettings implements Settings {
  readonly values: Map<string, string>;
  isReadOnly = false;

  constructor(values: Record<string, string>) {
    this.values = new Map(Object.entries(values));
  }

  exists(path: string): boolean {
    return [...this.values.keys()].some((known) => known === path || known.startsWith(`${path}/`));
  }

  read(path: string): string {
    const value = this.values.get(path);
    if (value === undefined) throw new Error(`no ${path}`);
    return value;
  }

  write(path: string, value: string): void {
    if (this.isReadOnly) throw new Error('read-only file system');
    this.values.set(path, value);
  }
}

let folder: string;
let stateFile: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nexodus-forwarding-'));
  stateFile = join(folder, 'state', 'forwarding.json');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const usual = () => new MemorySettings({ [IPV4]: '0', [ALL_IPV6]: '0', [FORCED]: '0' });
const enable = (settings: Settings) => {
  const forwarding = new ForwardingSwitch(stateFile, settings);
  const plan = forwarding.plan(['eth0']);
  forwarding.enable(plan);
  return { forwarding, plan };
};

test('it is on while wanted and off again afterwards', () => {
  const settings = usual();
  const { forwarding, plan } = enable(settings);
  expect(plan).toEqual({
    settings: [IPV4, FORCED],
    guarded: { ipv4: ['eth0'], ipv6: ['eth0'] },
    reasons: { ipv4: undefined, ipv6: undefined },
  });
  expect([settings.read(IPV4), settings.read(FORCED)]).toEqual(['1', '1']);
  forwarding.restore();
  expect([settings.read(IPV4), settings.read(FORCED)]).toEqual(['0', '0']);
  expect(existsSync(stateFile)).toBe(false);
});

test('planning changes nothing', () => {
  const settings = usual();
  new ForwardingSwitch(stateFile, settings).plan(['eth0']);
  expect(settings.read(IPV4)).toBe('0');
  expect(existsSync(stateFile)).toBe(false);
});

test('what was on before is neither guarded nor switched off', () => {
  const settings = new MemorySettings({ [IPV4]: '1', [ALL_IPV6]: '1', [FORCED]: '0' });
  const { forwarding, plan } = enable(settings);
  expect(plan).toMatchObject({ settings: [], guarded: { ipv4: [], ipv6: [] } });
  forwarding.restore();
  expect([settings.read(IPV4), settings.read(FORCED)]).toEqual(['1', '0']);
});

describe('after a sudden end', () => {
  test('the next one knows how it was before the first', () => {
    const settings = usual();
    enable(settings);
    const { forwarding, plan } = enable(settings);
    expect(plan.guarded.ipv4).toEqual(['eth0']);
    forwarding.restore();
    expect([settings.read(IPV4), settings.read(FORCED)]).toEqual(['0', '0']);
  });

  test('the next one puts it back without switching anything on', () => {
    const settings = usual();
    enable(settings);
    new ForwardingSwitch(stateFile, settings).restore();
    expect(settings.read(IPV4)).toBe('0');
  });

  test('an interface that is gone is no obstacle', () => {
    const settings = usual();
    enable(settings);
    settings.values.delete(FORCED);
    new ForwardingSwitch(stateFile, settings).restore();
    expect(settings.read(IPV4)).toBe('0');
  });
});

test.each([
  ['nothing', ''],
  ['no JSON', '{'],
  ['null', 'null'],
  ['another setting', JSON.stringify({ '/proc/sys/kernel/panic': '0' })],
  ['a path that leads elsewhere', JSON.stringify({ '/proc/sys/net/ipv4/conf/../forwarding': '0' })],
  ['a value that is never written', JSON.stringify({ [IPV4]: '2' })],
])('a file that holds %s is not believed', (_what, content) => {
  const settings = usual();
  enable(settings);
  writeFileSync(stateFile, content);
  new ForwardingSwitch(stateFile, settings).restore();
  expect([...settings.values]).toEqual([
    [IPV4, '1'],
    [ALL_IPV6, '0'],
    [FORCED, '1'],
  ]);
});

test('a kernel that cannot force IPv6 for one interface is left alone', () => {
  const settings = new MemorySettings({
    [IPV4]: '0',
    [ALL_IPV6]: '0',
    [`${IPV6}/forwarding`]: '0',
  });
  const { plan } = enable(settings);
  expect(plan.reasons.ipv4).toBeUndefined();
  expect(plan.reasons.ipv6).toMatch(/force_forwarding/);
  expect(settings.read(ALL_IPV6)).toBe('0');
});

test('an interface without IPv6 forwards IPv4 only', () => {
  const { plan } = enable(new MemorySettings({ [IPV4]: '0' }));
  expect(plan).toMatchObject({ settings: [IPV4], reasons: { ipv6: undefined } });
});

test('settings that cannot be written are an error, and it is written down what they were', () => {
  const settings = usual();
  settings.isReadOnly = true;
  const forwarding = new ForwardingSwitch(stateFile, settings);
  expect(() => forwarding.enable(forwarding.plan(['eth0']))).toThrow('read-only');
  expect(JSON.parse(readFileSync(stateFile, 'utf8'))).toEqual({ [IPV4]: '0', [FORCED]: '0' });
});
