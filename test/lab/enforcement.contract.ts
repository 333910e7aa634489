import { eventually } from '@nexodus/clock/testing';
import { ping, type VirtualHost } from '@nexodus/netsim';
import { describe, expect, test } from 'vitest';
import { TUNNEL, type LabMachine } from './lab-machine.ts';
import type { Lab } from './lab.ts';
import { droppedPackets, firewallOf } from './network-state.ts';

/** Addresses that nobody has (RFC 5737, RFC 3849). */
const FOREIGN = { ipv4: '198.51.100.66', ipv6: '2001:db8::66' };
const ECHOES = 5;

/**
 * The first firewall against a member that does with its own machine what it wants: its daemon is dead, its firewall
 * gone, its tunnel takes any address.
 */
export function describeEnforcement(running: () => Lab): void {
  describe('against a hostile member', () => {
    test('a packet from an address that is not a shown peer’s is dropped', async () => {
      const lab = running();
      const [a, b] = machines(lab);
      await using _ = await takeOver(lab, b);
      await inBothFamilies(async (family) => {
        const foreign = FOREIGN[family];
        await addAddress(b.host, foreign);
        // Not even WireGuard takes the packet.
        const asMember = { from: b.host, source: foreign, to: a[family] };
        expect(await answers(asMember)).toBe(0);
        // With WireGuard talked into it, again whenever the daemon repairs that, it is the firewall that drops it.
        const dropped = () => droppedPackets(a.host, TUNNEL, 'dropped_input');
        const before = await dropped();
        await eventually(async () => {
          await allowAddresses(a.host, b.publicKey, [b.ipv4, b.ipv6, foreign]);
          expect(await answers(asMember)).toBe(0);
          return (await dropped()) > before;
        });
        await b.host.run('ip', ['address', 'delete', foreign, 'dev', TUNNEL]);
        await allowAddresses(a.host, b.publicKey, [b.ipv4, b.ipv6]);
        expect((await ping(b.host, a[family], { count: 1 })).received).toBe(1);
      });
    });

    test('a machine that routes lets nothing from the tunnel into its LAN or back', async () => {
      const lab = running();
      const [a, b] = machines(lab);
      const { serviceHost } = lab;
      await using _ = await takeOver(lab, b);
      await openUp(lab, b);
      await inBothFamilies(async (family) => {
        const inside = serviceHost[family];
        await b.host.run('ip', ['route', 'add', inside, 'dev', TUNNEL]);
        const intoLan = { from: b.host, source: b[family], to: inside };
        await expectForwardDropped(a.host, intoLan);
        await b.host.run('ip', ['route', 'delete', inside, 'dev', TUNNEL]);
        await serviceHost.run('ip', ['route', 'add', b[family], 'via', a.host[family]]);
        const intoTunnel = { from: serviceHost, source: inside, to: b[family] };
        await expectForwardDropped(a.host, intoTunnel);
        await serviceHost.run('ip', ['route', 'delete', b[family], 'via', a.host[family]]);
      });
    });

    test('a neighbour on the LAN does not reach a tunnel address', async () => {
      const { serviceHost, machines: all } = running();
      const [a] = all;
      if (a === undefined) throw new Error('a machine is there');
      await inBothFamilies(async (family) => {
        await serviceHost.run('ip', ['route', 'add', a[family], 'via', a.host[family]]);
        const before = await droppedPackets(a.host, TUNNEL, 'dropped_stray');
        const asNeighbour = { from: serviceHost, source: serviceHost[family], to: a[family] };
        expect(await answers(asNeighbour)).toBe(0);
        expect(await droppedPackets(a.host, TUNNEL, 'dropped_stray')).toBeGreaterThan(before);
        await serviceHost.run('ip', ['route', 'delete', a[family], 'via', a.host[family]]);
      });
    });

    test('a daemon that starts again puts its firewall and peers back', async () => {
      const lab = running();
      const [a, b] = machines(lab);
      {
        await using _ = await takeOver(lab, b);
        await openUp(lab, b);
      }
      expect(await firewallOf(b.host, TUNNEL)).toContain('dropped_input');
      const allowed = await b.host.run('wg', ['show', TUNNEL, 'allowed-ips']);
      expect(allowed).not.toContain(lab.serviceHost.ipv4);
      await inBothFamilies(async (family) => {
        expect((await ping(a.host, b[family])).received).toBe(3);
      });
    });
  });
}

type Family = 'ipv4' | 'ipv6';

async function inBothFamilies(act: (family: Family) => Promise<void>): Promise<void> {
  await act('ipv4');
  await act('ipv6');
}

function machines(lab: Lab): readonly [LabMachine, LabMachine] {
  return [lab.machine('a'), lab.machine('b')];
}

/** Leaves a machine without its daemon, until the daemon starts again and knows the others. */
async function takeOver(lab: Lab, machine: LabMachine): Promise<AsyncDisposable> {
  await machine.end('SIGKILL');
  return {
    [Symbol.asyncDispose]: async () => {
      await machine.up();
      await machine.knows(lab.machines.filter((other) => other !== machine));
    },
  };
}

/** Takes the firewall of a machine away, and lets machine a be the service's machine too in its tunnel. */
async function openUp(lab: Lab, machine: LabMachine): Promise<void> {
  await machine.host.run('nft', ['delete', 'table', 'inet', `nexodus_${TUNNEL}`]);
  const { ipv4, ipv6 } = lab.serviceHost;
  const a = lab.machine('a');
  await allowAddresses(machine.host, a.publicKey, [a.ipv4, a.ipv6, ipv4, ipv6]);
}

/** Who pings whom, and as whom. */
interface Echoes {
  readonly from: VirtualHost;
  readonly source: string;
  readonly to: string;
}

/** Number of answers to a few echoes from a source address. */
async function answers({ from, source, to }: Echoes): Promise<number> {
  const args = ['-n', '-c', String(ECHOES), '-i', '0.1', '-W', '1', '-I', source, to];
  const { stdout, stderr } = await from.exec('ping', args);
  const received = /(\d+) received/.exec(stdout)?.[1];
  if (received === undefined) throw new Error(`ping from ${source} did not run: ${stderr}`);
  return Number(received);
}

async function expectForwardDropped(router: VirtualHost, echoes: Echoes): Promise<void> {
  const before = await droppedPackets(router, TUNNEL, 'dropped_forward');
  expect(await answers(echoes)).toBe(0);
  await eventually(
    async () => (await droppedPackets(router, TUNNEL, 'dropped_forward')) >= before + ECHOES,
  );
}

async function addAddress(host: VirtualHost, address: string): Promise<void> {
  const length = address.includes(':') ? 128 : 32;
  const flags = address.includes(':') ? ['nodad'] : [];
  await host.run('ip', ['address', 'add', `${address}/${length}`, 'dev', TUNNEL, ...flags]);
}

async function allowAddresses(
  host: VirtualHost,
  peer: string,
  addresses: readonly string[],
): Promise<void> {
  await host.run('wg', ['set', TUNNEL, 'peer', peer, 'allowed-ips', addresses.join(',')]);
}
