import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCommandRunner, createSystemPorts } from '@nexodus/agent/testing';
import { eventually } from '@nexodus/clock/testing';
import { createVirtualNetwork, type VirtualHost, type VirtualSwitch } from '@nexodus/netsim';
import { formatX25519PublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { expect } from 'vitest';

/** UDP port of both tunnels. */
export const TUNNEL_PORT = 51_820;

/** One end of a tunnel: a machine with WireGuard and what the agent does to its packets. */
export interface TunnelEnd extends Awaited<ReturnType<typeof createSystemPorts>> {
  readonly host: VirtualHost;
  /** In the tunnel. */
  readonly address: string;
  /** Base64. */
  readonly key: string;
}

/** Two ends on one network, and a third machine. */
export interface TunnelEnds extends AsyncDisposable {
  readonly ends: readonly [TunnelEnd, TunnelEnd];
  readonly third: VirtualHost;
  /** Points an end's tunnel at an endpoint of the other. */
  pointAt(side: 0 | 1, endpoint: string): Promise<void>;
  /** Where both tunnels send. */
  endpoints(): Promise<readonly (string | undefined)[]>;
  /** Waits until an echo comes back through the tunnel. */
  connected(): Promise<void>;
}

/** Makes them, with tunnels that point nowhere. */
export async function openTunnelEnds(): Promise<TunnelEnds> {
  await using undo = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-ends-'));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const network = undo.use(await createVirtualNetwork());
  const lan = await network.switch('lan', { ipv4: '192.0.2.0/24', ipv6: '2001:db8::/64' });
  const third = await network.host('third', [{ switch: lan }]);
  const open = async (side: 0 | 1): Promise<TunnelEnd> => {
    const end = await openEnd(await hostOn(lan, side), { folder, side });
    undo.defer(() => end.tunnel.remove());
    return end;
  };
  const hostOn = (at: VirtualSwitch, side: 0 | 1) => network.host(`end${side}`, [{ switch: at }]);
  const ends = [await open(0), await open(1)] as const;
  const stack = undo.move();
  return {
    ends,
    third,
    pointAt: (side, endpoint) => pointAt(ends[side], ends[side === 0 ? 1 : 0], endpoint),
    endpoints: async () => {
      const readings = await Promise.all(ends.map(({ tunnel }) => tunnel.read()));
      return readings.map((reading) => reading?.peers[0]?.endpoint);
    },
    connected: () => connected(ends),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function openEnd(
  host: VirtualHost,
  { folder, side }: { readonly folder: string; readonly side: 0 | 1 },
): Promise<TunnelEnd> {
  const privateKey = WireGuardPrivateKey.generate();
  const runner = createCommandRunner({ prefix: ['ip', 'netns', 'exec', host.namespace] });
  // UAPI sockets of all namespaces lie in one folder.
  const interfaceName = `e${side}${host.namespace.slice(-10)}`;
  const ports = await createSystemPorts({
    interfaceName,
    stateDir: join(folder, host.name),
    runner,
    technology: 'wireguard-go',
  });
  await ports.tunnel.create({ privateKey, listenPort: TUNNEL_PORT });
  const address = `100.64.0.${side + 1}`;
  await host.run('ip', ['address', 'add', `${address}/24`, 'dev', interfaceName]);
  await host.run('ip', ['link', 'set', interfaceName, 'mtu', '1280', 'up']);
  return { ...ports, host, address, key: formatX25519PublicKey(privateKey.publicKey) };
}

async function pointAt(end: TunnelEnd, peer: TunnelEnd, endpoint: string): Promise<void> {
  const setting = { publicKey: peer.key, allowedIps: [`${peer.address}/32`], endpoint };
  const set = [{ ...setting, persistentKeepaliveSeconds: 0 }];
  await end.tunnel.applyPeerChanges({ remove: [], set });
}

async function connected([a, b]: readonly [TunnelEnd, TunnelEnd]): Promise<void> {
  await eventually(
    async () => {
      const one = await a.host.exec('ping', ['-c', '1', '-W', '0.3', b.address]);
      expect(one.exitCode).toBe(0);
    },
    { timeoutMs: 30_000 },
  );
}
