import { timingSafeEqual } from 'node:crypto';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { WireGuardPrivateKey } from '@nexodus/wireguard';
import type { IpInterface } from './core/ip-output.ts';
import { formatUapiInterface, formatUapiPeers, parseUapiGet, parseUapiSet } from './core/uapi.ts';
import type { UapiReading } from './core/uapi.ts';
import { judgeWireguardGoVersion } from './core/wireguard-go-version.ts';
import { DataplaneError } from './dataplane-error.ts';
import {
  assertPortFree,
  interfaceTaken,
  isOurs,
  markAsOurs,
  portTaken,
} from './interface-ownership.ts';
import { readIpInterface } from './iproute-host-network.ts';
import type { Tunnel, TunnelOptions } from './tunnel.ts';
import { askUapi } from './uapi-socket.ts';
import {
  findWireguardGo,
  forgetWireguardGo,
  startWireguardGo,
  wireguardGoLogPath,
} from './wireguard-go-process.ts';
import type { WireguardGoPlace } from './wireguard-go-process.ts';

/** What the wireguard-go adapter needs. */
export interface WireguardGoTunnelOptions extends WireguardGoPlace {
  /** Where wireguard-go makes its sockets; it knows only the default, /var/run/wireguard. */
  readonly socketDirectory?: string;
}

/** Longest wait for wireguard-go to start or to end. */
const PROCESS_TIMEOUT_MS = 10_000;

const POLL_MS = 20;

/** EADDRINUSE as UAPI answers it (errno(3)). */
const ERRNO_ADDRESS_IN_USE = 98;

/** What the functions below share. */
interface Place extends WireguardGoPlace {
  readonly socketPath: string;
}

/**
 * The tunnel as a wireguard-go process spoken to through its UAPI socket
 * (https://www.wireguard.com/xplatform/). The interface lives exactly as long as the process.
 */
export function createWireguardGoTunnel(options: WireguardGoTunnelOptions): Tunnel {
  const directory = options.socketDirectory ?? '/var/run/wireguard';
  const place = { ...options, socketPath: join(directory, `${options.interfaceName}.sock`) };
  const link = () => readIpInterface(place.runner, place.interfaceName);
  return {
    technology: 'wireguard-go',
    create: async (tunnel) => {
      if ((await link()) !== null) throw interfaceTaken(place.interfaceName, 'it is in use');
      await start(place, tunnel);
    },
    adopt: async (privateKey) => {
      const existing = await link();
      if (existing !== null) await adopt(place, existing, privateKey);
      return existing !== null;
    },
    setListenPort: async (listenPort) => {
      await assertPortFree(place.runner, listenPort);
      await set(place, formatUapiInterface({ listenPort }), listenPort);
    },
    applyPeerChanges: async (changes) => {
      await set(place, formatUapiPeers(changes));
    },
    read: async () => {
      const found = await link();
      const reading = found !== null && isOurs(found) ? await get(place) : null;
      return reading && { listenPort: reading.listenPort, peers: reading.peers };
    },
    remove: async () => {
      const found = await link();
      const pid = await findWireguardGo(place);
      if (found !== null && !isOurs(found) && pid === null) {
        throw interfaceTaken(place.interfaceName, 'it does not carry the mark of nexd');
      }
      await end(place, pid);
    },
  };
}

async function start(place: Place, tunnel: TunnelOptions): Promise<void> {
  await assertVersion(place);
  await assertTunUsable();
  await assertSocketFree(place);
  await assertPortFree(place.runner, tunnel.listenPort);
  const started = await startWireguardGo(place);
  let hasExited = false;
  void started.exited.then(() => {
    hasExited = true;
  });
  try {
    await until(place, async () => {
      if (hasExited) throw await startFailed(place);
      return (await get(place)) !== null;
    });
    await markAsOurs(place.runner, place.interfaceName);
    const privateKeyHex = Buffer.from(tunnel.privateKey.exportBytes()).toString('hex');
    const request = formatUapiInterface({ privateKeyHex, listenPort: tunnel.listenPort });
    await set(place, request, tunnel.listenPort);
  } catch (error) {
    await end(place, await findWireguardGo(place));
    throw error;
  }
}

async function adopt(
  place: Place,
  existing: IpInterface,
  privateKey: WireGuardPrivateKey,
): Promise<void> {
  const reading = existing.isTunnel ? await get(place) : null;
  if (reading === null) {
    throw interfaceTaken(
      place.interfaceName,
      `it is no tunnel that answers at ${place.socketPath}`,
    );
  }
  const isUnset = reading.privateKeyHex === null && (await findWireguardGo(place)) !== null;
  const privateKeyHex = Buffer.from(privateKey.exportBytes()).toString('hex');
  if (isUnset) await set(place, formatUapiInterface({ privateKeyHex }));
  else if (!sameKey(reading.privateKeyHex, privateKeyHex)) {
    throw interfaceTaken(place.interfaceName, 'it is a WireGuard tunnel with another key');
  }
  if (!isOurs(existing)) await markAsOurs(place.runner, place.interfaceName);
}

function sameKey(left: string | null, right: string): boolean {
  return left?.length === right.length && timingSafeEqual(Buffer.from(left), Buffer.from(right));
}

async function end(place: Place, pid: number | null): Promise<void> {
  const { interfaceName, runner, socketPath } = place;
  if (pid !== null) signal(pid, 'SIGTERM');
  else if ((await readIpInterface(runner, interfaceName)) !== null) {
    await runner.run('ip', ['link', 'delete', 'dev', interfaceName]);
  }
  await until(place, async () => {
    const isGone = (await readIpInterface(runner, interfaceName)) === null;
    return isGone && (await findWireguardGo(place)) === null;
  });
  if ((await askUapi(socketPath, 'get=1\n\n')) === null) await rm(socketPath, { force: true });
  await rm(wireguardGoLogPath(place), { force: true });
  await forgetWireguardGo(place);
}

function signal(pid: number, name: 'SIGTERM'): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself in the meantime.
  }
}

async function get(place: Place): Promise<UapiReading | null> {
  const answer = await askUapi(place.socketPath, 'get=1\n\n');
  return answer === null ? null : parseUapiGet(answer);
}

async function set(place: Place, request: string, listenPort?: number): Promise<void> {
  const answer = await askUapi(place.socketPath, request);
  const errno = answer === null ? null : parseUapiSet(answer);
  if (errno === 0) return;
  if (errno === ERRNO_ADDRESS_IN_USE && listenPort !== undefined) {
    throw portTaken(listenPort, 'another socket');
  }
  const detail = errno === null ? 'does not listen' : `refused with errno ${errno}`;
  throw new DataplaneError(
    'tunnel-failed',
    `wireguard-go for ${place.interfaceName} ${detail}.`,
    `See ${wireguardGoLogPath(place)}; \`nexd down\` and \`nexd up\` start it anew.`,
  );
}

async function until(place: Place, isDone: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PROCESS_TIMEOUT_MS;
  while (!(await isDone())) {
    if (performance.now() > deadline) throw await startFailed(place);
    await delay(POLL_MS);
  }
}

async function startFailed(place: Place): Promise<DataplaneError> {
  const log = await readFile(wireguardGoLogPath(place), 'utf8').catch(() => '');
  const lines = log.split('\n').filter((line) => /ERROR|Failed/i.test(line));
  return new DataplaneError(
    'tunnel-failed',
    `wireguard-go for ${place.interfaceName} did not start or end in time: ${lines.at(-1) ?? 'it said nothing'}.`,
    `See ${wireguardGoLogPath(place)}.`,
  );
}

async function assertVersion(place: Place): Promise<void> {
  const shown = await place.runner.run('wireguard-go', ['--version']);
  const { version, isAccepted } = judgeWireguardGoVersion(shown.stdout);
  if (isAccepted) return;
  throw new DataplaneError(
    'wireguard-go-too-old',
    `wireguard-go ${version} is older than 0.0.20231211.`,
    "Install it from Debian's backports: `apt-get install -t bookworm-backports wireguard-go`.",
  );
}

async function assertTunUsable(): Promise<void> {
  try {
    await (await open('/dev/net/tun', 'r+')).close();
  } catch (cause) {
    throw new DataplaneError(
      'no-tun',
      'The device /dev/net/tun cannot be opened.',
      'Load it with `modprobe tun`; in a container, pass it with `--device /dev/net/tun`.',
      { cause },
    );
  }
}

async function assertSocketFree(place: Place): Promise<void> {
  if ((await askUapi(place.socketPath, 'get=1\n\n')) === null) return;
  throw interfaceTaken(
    place.interfaceName,
    `a WireGuard process outside this network namespace answers at ${place.socketPath}`,
  );
}
