import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readDeployFile, repository } from './deploy-file.ts';

const text = readDeployFile('systemd/nexd.service');

/** Settings of each section; systemd adds up those that are given several times. */
function parseUnit(unit: string): Map<string, Map<string, string[]>> {
  const sections = new Map<string, Map<string, string[]>>();
  let section: Map<string, string[]> | undefined;
  for (const line of unit.split('\n').map((one) => one.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const header = /^\[(\w+)\]$/.exec(line);
    const setting = /^(\w+)=(.*)$/.exec(line);
    if (header?.[1] !== undefined) {
      section = new Map();
      sections.set(header[1], section);
    } else if (setting?.[1] !== undefined && section !== undefined) {
      const values = section.get(setting[1]) ?? [];
      section.set(setting[1], [...values, setting[2] ?? '']);
    } else throw new Error(`no line of a unit: ${line}`);
  }
  return sections;
}

const unit = parseUnit(text);

function setting(name: string): string {
  const values = unit.get('Service')?.get(name);
  if (values === undefined) throw new Error(`${name} is not set`);
  return values.join(' ');
}

test('nexd.service has the sections of a service', () => {
  expect([...unit.keys()]).toEqual(['Unit', 'Service', 'Install']);
});

test('it starts programs that the repository has', () => {
  const [node = '', main = '', command] = setting('ExecStart').split(' ');
  expect(command).toBe('up');
  const inClone = [node, main].map((path) => path.replace('/opt/nexodus', repository));
  expect(inClone.filter((path) => !existsSync(path))).toEqual([]);
});

test('stopping it leaves the tunnel and the socket by which it is adopted again', () => {
  expect(setting('KillMode')).toBe('process');
  expect(setting('RuntimeDirectory').split(' ')).toEqual(['nexodus', 'wireguard']);
  expect(setting('RuntimeDirectoryPreserve')).toBe('yes');
  expect(setting('Type')).toBe('notify');
  expect(setting('NotifyAccess')).toBe('all');
});

test('it has no right that a tunnel does not need', () => {
  expect(setting('CapabilityBoundingSet')).toBe('CAP_NET_ADMIN CAP_NET_BIND_SERVICE');
  expect(setting('DeviceAllow')).toBe('/dev/net/tun rw');
  expect(setting('RestrictAddressFamilies')).toBe('AF_UNIX AF_NETLINK AF_INET AF_INET6');
  expect(setting('UMask')).toBe('0077');
  const wanted: Record<string, string> = {
    DevicePolicy: 'closed',
    LockPersonality: 'yes',
    NoNewPrivileges: 'yes',
    PrivateTmp: 'yes',
    ProtectClock: 'yes',
    ProtectControlGroups: 'yes',
    ProtectHome: 'yes',
    ProtectHostname: 'yes',
    ProtectKernelLogs: 'yes',
    ProtectKernelModules: 'yes',
    ProtectKernelTunables: 'yes',
    ProtectSystem: 'strict',
    RestrictNamespaces: 'yes',
    RestrictRealtime: 'yes',
    RestrictSUIDSGID: 'yes',
    StateDirectory: 'nexodus',
    StateDirectoryMode: '0700',
    SystemCallArchitectures: 'native',
    SystemCallFilter: '@system-service ~@privileged @resources @mount',
  };
  const found = Object.keys(wanted).map((name) => [name, setting(name)]);
  expect(Object.fromEntries(found)).toEqual(wanted);
});

test('no secret stands in the unit', () => {
  expect(text).not.toMatch(/REG_KEY|reg-key|PASSWORD/);
});

test('systemd itself finds no fault with it, where the machine has systemd', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-unit-'));
  const path = join(folder, 'nexd.service');
  // The programs are looked for too: here they are in the clone.
  await writeFile(path, text.replaceAll('/opt/nexodus', repository));
  try {
    expect(complaintsOfSystemd(path)).toBe('');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

function complaintsOfSystemd(path: string): string {
  try {
    return execFileSync('systemd-analyze', ['verify', '--man=no', path], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (isAbsent) return '';
    throw error;
  }
}
