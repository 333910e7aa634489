/** What `nexctl nexd netcheck` says on joined machines, and how peers are watched. */
import { CheckNetworkResponse } from '@nexodus/contracts/nexd';
import type { AccessKind, SiteOptions } from '@nexodus/netsim';
import { eventually } from '@nexodus/clock/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { labEnvironment, repositoryProgram } from '../lab-environment.ts';
import type { LabMachine } from '../lab-machine.ts';
import { type JoinedMachine, openRelayLab, type RelayLab } from './relay-lab.ts';

let lab: RelayLab;

beforeAll(async () => {
  lab = await openRelayLab();
});

afterAll(() => lab?.[Symbol.asyncDispose]());

async function check({ nexctl, daemonArguments }: LabMachine): Promise<CheckNetworkResponse> {
  return CheckNetworkResponse.fromJSON(await nexctl.json(['nexd', ...daemonArguments, 'netcheck']));
}

/** Joins, and waits until the machine has a home relay and sends from the tunnel's port. */
async function join(
  name: string,
  access: AccessKind | SiteOptions,
  args: readonly string[] = [],
): Promise<JoinedMachine> {
  const joined = await lab.join(name, access, args);
  await eventually(async () => expect((await joined.machine.status()).homeRelayId).toBe('relay'), {
    timeoutMs: 20_000,
  });
  return joined;
}

describe('a check', () => {
  test('names a common NAT by the tunnel port, and reaches the relay by both lanes', async () => {
    const { machine, site } = await join('easy', { access: 'eim-apdf', hairpin: true });
    const { listenPort } = await machine.status();
    const report = await check(machine);
    expect(report).toMatchObject({
      tunnelPort: listenPort,
      tunnelPortSeen: true,
      ipv4: { name: 'eim-apdf', portPreserved: true, hairpin: 'yes' },
      ipv6: { usable: false },
      localAddresses: [machine.host.ipv4],
      mtu: { mtuBytes: 1_500, interfaceName: 'eth0' },
      advice: [],
    });
    const outside = `${site.routers[0]?.outsideIpv4}:${listenPort}`;
    expect(new Set(report.ipv4?.mapped.map(({ mapped }) => mapped))).toEqual(new Set([outside]));
    expect(report.relays).toMatchObject([{ relayId: 'relay', home: true, tlsProblem: '' }]);
    expect(report.relays[0]?.udpRoundTripUs).toBeGreaterThan(0);
    expect(report.relays[0]?.tlsConnectUs).toBeGreaterThan(0);
    await machine.down();
  });

  test('says again what it said before: it leaves no traces in the NAT', async () => {
    const { machine } = await join('again', 'eim-apdf');
    const [first, second] = [await check(machine), await check(machine)];
    expect(first.ipv4).toMatchObject({ name: 'eim-apdf', hairpin: 'no' });
    expect(second.ipv4).toEqual(first.ipv4);
    await machine.down();
  });

  test('tells people of a hard NAT, and which port to forward to whom', async () => {
    const { machine } = await join('hard', 'apdm-apdf');
    const { listenPort } = await machine.status();
    const said = await machine.nexctl.text(['nexd', ...machine.daemonArguments, 'netcheck']);
    expect(said).toMatch(/^IPv4: +hard NAT: .*apdm-apdf/m);
    expect(said).toMatch(/^relay \* +\d+\.\d ms +yes/m);
    expect(said).toContain(`forward UDP ${listenPort} at the router to ${machine.host.ipv4}`);
    await machine.down();
  });

  test.for(['udp-blocked', 'http-proxy-only'] as const)(
    'says of %s that peers are reached over TLS',
    async (access) => {
      const { machine } = await join(access === 'udp-blocked' ? 'block' : 'proxy', access);
      const report = await check(machine);
      expect(report.ipv4?.name).toBe('udp-blocked');
      expect(report.advice.map(({ code }) => code)).toEqual(['udp-blocked']);
      expect(report.relays[0]?.tlsConnectUs).toBeGreaterThan(0);
      expect(report.proxy === '').toBe(access === 'udp-blocked');
      await machine.down();
    },
  );
});

test('watched peers are told line by line where there is no terminal, until a signal', async () => {
  const [a, b] = [await join('wa', 'open'), await join('wb', 'open')];
  const watching = await a.machine.host.spawn(
    repositoryProgram('nexctl'),
    ['nexd', ...a.machine.daemonArguments, 'peers', '--watch'],
    { env: labEnvironment() },
  );
  await watching.waitForLine(/Z wb-m: ipv4 .*online yes/, { deadlineMs: 20_000 });
  await b.machine.end('SIGTERM');
  await watching.waitForLine(/Z wb-m: ipv4 .*online no/, { deadlineMs: 20_000 });
  expect(await watching.stop({ signal: 'SIGINT' })).toMatchObject({ exitCode: 0 });
  await a.machine.down();
});
