/**
 * The network of the benchmark: a relay with a link to each of two devices, and WireGuard on both.
 *
 *     alpha 203.0.113.10 --- 203.0.113.1  relay  198.51.100.1 --- 198.51.100.10 beta
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVirtualNetwork, type VirtualHost, type VirtualNetwork } from '@nexodus/netsim';
import { formatX25519PublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { type Endpoint, formatEndpoint } from './program/endpoint.ts';

/** Port of WireGuard on both devices. */
export const WIREGUARD_PORT = 51_820;
/** MTU of the product's tunnels. */
const TUNNEL_MTU_BYTES = 1_280;
const START_DEADLINE_MS = 20_000;

/** One of the two devices. */
export interface Device {
  readonly host: VirtualHost;
  /** Address in the tunnel. */
  readonly tunnelAddress: string;
  readonly privateKey: WireGuardPrivateKey;
}

/** The machines, and WireGuard running on the devices. */
export interface BenchNetwork extends AsyncDisposable {
  readonly relay: VirtualHost;
  /** Address of the relay that both devices reach. */
  readonly relayAddress: string;
  /** Interfaces of the relay. */
  readonly relayInterfaces: readonly string[];
  readonly alpha: Device;
  readonly beta: Device;
  /** For files of a run. */
  readonly folder: string;
  /** Makes each device send to an endpoint, with sessions of WireGuard that begin anew. */
  pointTunnel(endpoints: readonly [Endpoint, Endpoint]): Promise<void>;
  /** Takes the devices' peers away. */
  closeTunnel(): Promise<void>;
  /** Kills everything and removes the machines. */
  close(): Promise<void>;
}

/** Builds the machines and starts WireGuard. */
export async function openBenchNetwork(): Promise<BenchNetwork> {
  const network = await createVirtualNetwork();
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-bench-'));
  try {
    return await furnish(network, folder);
  } catch (error) {
    await network.close();
    await rm(folder, { recursive: true });
    throw error;
  }
}

async function furnish(network: VirtualNetwork, folder: string): Promise<BenchNetwork> {
  const near = await network.switch('near', { ipv4: '203.0.113.0/24' });
  const far = await network.switch('far', { ipv4: '198.51.100.0/24' });
  const attachments = [near, far].map((segment) => ({ switch: segment, isGateway: true }));
  const relay = await network.host('relay', attachments);
  const alpha = await startDevice(await network.host('alpha', [{ switch: near }]), 1, folder);
  const beta = await startDevice(await network.host('beta', [{ switch: far }]), 2, folder);
  return {
    relay,
    relayAddress: relay.ipv4,
    relayInterfaces: relay.links.map(({ interfaceName }) => interfaceName),
    alpha,
    beta,
    folder,
    pointTunnel: async ([alphaTo, betaTo]) => {
      // The second has a packet to send at once, the first when it is first used.
      await point(alpha, beta, alphaTo);
      await point(beta, alpha, betaTo);
    },
    closeTunnel: async () => {
      await removePeer(alpha, beta);
      await removePeer(beta, alpha);
    },
    close: async () => {
      await network.close();
      await rm(folder, { recursive: true, force: true });
    },
    [Symbol.asyncDispose]: async () => {
      await network.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startDevice(host: VirtualHost, number: number, folder: string): Promise<Device> {
  const privateKey = WireGuardPrivateKey.generate();
  const keyFile = join(folder, `key-${number}`);
  await writeFile(keyFile, privateKey.exportBase64(), { mode: 0o600 });
  const daemon = await host.spawn('wireguard-go', ['-f', 'wg0'], {
    env: { ...process.env, LOG_LEVEL: 'verbose' },
  });
  await daemon.waitForLine(/UAPI listener started/, { deadlineMs: START_DEADLINE_MS });
  const tunnelAddress = `10.9.0.${number}`;
  const port = String(WIREGUARD_PORT);
  await host.run('wg', ['set', 'wg0', 'private-key', keyFile, 'listen-port', port]);
  await host.run('ip', ['address', 'add', `${tunnelAddress}/24`, 'dev', 'wg0']);
  await host.run('ip', ['link', 'set', 'wg0', 'mtu', String(TUNNEL_MTU_BYTES), 'up']);
  return { host, tunnelAddress, privateKey };
}

async function point(device: Device, other: Device, to: Endpoint): Promise<void> {
  const key = formatX25519PublicKey(other.privateKey.publicKey);
  const peer = ['peer', key, 'endpoint', formatEndpoint(to), 'persistent-keepalive', '25'];
  const allowed = ['allowed-ips', `${other.tunnelAddress}/32`];
  await device.host.run('wg', ['set', 'wg0', ...peer, ...allowed]);
}

async function removePeer(device: Device, other: Device): Promise<void> {
  const key = formatX25519PublicKey(other.privateKey.publicKey);
  await device.host.run('wg', ['set', 'wg0', 'peer', key, 'remove']);
}
