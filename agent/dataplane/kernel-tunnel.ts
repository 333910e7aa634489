import { timingSafeEqual } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WireGuardPrivateKey } from '@nexodus/wireguard';
import type { CommandRunner } from './command-runner.ts';
import type { PeerSetting } from './core/operation.ts';
import { parseWgDump } from './core/wg-dump.ts';
import { assertPortFree, interfaceTaken, isOurs, markAsOurs } from './interface-ownership.ts';
import { readIpInterface } from './iproute-host-network.ts';
import type { Tunnel, TunnelOptions } from './tunnel.ts';

/** What the kernel adapter needs. */
export interface KernelTunnelOptions {
  readonly interfaceName: string;
  /** Folder in which the private key lies for the moment in which `wg` reads it (mode 0600). */
  readonly stateDir: string;
  readonly runner: CommandRunner;
}

/** Peers per `wg set`: well within the kernel's limit of 128 KiB per argument list entry and 2 MiB in all. */
const PEERS_PER_COMMAND = 200;

/**
 * The tunnel as the kernel's WireGuard, through `ip link` and `wg`. The private key passes in a file that only root
 * reads, never in an argument.
 */
export function createKernelTunnel(options: KernelTunnelOptions): Tunnel {
  const { interfaceName, runner } = options;
  const link = () => readIpInterface(runner, interfaceName);
  const wg = (...settings: string[]) => runner.run('wg', ['set', interfaceName, ...settings]);
  return {
    technology: 'kernel',
    create: async (tunnel) => {
      if ((await link()) !== null) throw interfaceTaken(interfaceName, 'it is in use');
      await makeInterface(options, tunnel);
    },
    adopt: async (privateKey) => {
      const existing = await link();
      if (existing === null) return false;
      const held = existing.kind === 'wireguard' ? (await dump(options)).privateKey : '';
      if (held === null && isOurs(existing)) await setKey(options, { privateKey, listenPort: 0 });
      else if (!sameKey(held ?? '', privateKey)) {
        throw interfaceTaken(interfaceName, "it is no WireGuard tunnel with this device's key");
      }
      await markAsOurs(runner, interfaceName);
      return true;
    },
    setListenPort: async (listenPort) => {
      await assertPortFree(runner, listenPort);
      await wg('listen-port', String(listenPort));
    },
    applyPeerChanges: async ({ remove, set }) => {
      const settings = [...remove.map((key) => ['peer', key, 'remove']), ...set.map(peerSettings)];
      for (let index = 0; index < settings.length; index += PEERS_PER_COMMAND) {
        await wg(...settings.slice(index, index + PEERS_PER_COMMAND).flat());
      }
    },
    read: async () => {
      const found = await link();
      if (found === null || !isOurs(found)) return null;
      const { listenPort, peers } = await dump(options);
      return { listenPort, peers };
    },
    remove: async () => {
      const found = await link();
      if (found === null) return;
      if (!isOurs(found)) throw interfaceTaken(interfaceName, 'it does not carry the mark of nexd');
      await runner.run('ip', ['link', 'delete', 'dev', interfaceName]);
    },
  };
}

/** Whether the kernel makes WireGuard interfaces: tried with one that is deleted at once. */
export async function hasKernelWireGuard(
  runner: CommandRunner,
  probeName: string,
): Promise<boolean> {
  const made = await runner.probe('ip', ['link', 'add', 'dev', probeName, 'type', 'wireguard']);
  if (made.exitCode !== 0) return false;
  await runner.run('ip', ['link', 'delete', 'dev', probeName]);
  return true;
}

async function makeInterface(options: KernelTunnelOptions, tunnel: TunnelOptions): Promise<void> {
  const { interfaceName, runner } = options;
  await assertPortFree(runner, tunnel.listenPort);
  await runner.run('ip', ['link', 'add', 'dev', interfaceName, 'type', 'wireguard']);
  try {
    await markAsOurs(runner, interfaceName);
    await setKey(options, tunnel);
  } catch (error) {
    await runner.probe('ip', ['link', 'delete', 'dev', interfaceName]);
    throw error;
  }
}

/** `wg` opens its key by path, and standard input is a socket here, which cannot be opened by path. */
async function setKey(options: KernelTunnelOptions, tunnel: TunnelOptions): Promise<void> {
  const { interfaceName, runner, stateDir } = options;
  const path = join(stateDir, `wg-set-${interfaceName}.key`);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  try {
    await rm(path, { force: true });
    await writeFile(path, tunnel.privateKey.exportBase64(), { mode: 0o600, flag: 'wx' });
    const port = ['listen-port', String(tunnel.listenPort)];
    await runner.run('wg', ['set', interfaceName, 'private-key', path, ...port]);
  } finally {
    await rm(path, { force: true });
  }
}

async function dump({ interfaceName, runner }: KernelTunnelOptions) {
  return parseWgDump((await runner.run('wg', ['show', interfaceName, 'dump'])).stdout);
}

function sameKey(held: string, wanted: WireGuardPrivateKey): boolean {
  const [left, right] = [Buffer.from(held, 'base64'), Buffer.from(wanted.exportBytes())];
  return left.length === right.length && timingSafeEqual(left, right);
}

function peerSettings(peer: PeerSetting): string[] {
  const { publicKey, allowedIps, endpoint, persistentKeepaliveSeconds } = peer;
  const settings = ['peer', publicKey];
  if (endpoint !== undefined) settings.push('endpoint', endpoint);
  settings.push('persistent-keepalive', String(persistentKeepaliveSeconds));
  settings.push('allowed-ips', allowedIps.join(','));
  return settings;
}
