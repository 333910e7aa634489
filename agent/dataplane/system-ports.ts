import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { CommandRunner } from './command-runner.ts';
import { DataplaneError } from './dataplane-error.ts';
import type { Firewall } from './firewall.ts';
import type { HostNetwork } from './host-network.ts';
import { createIprouteHostNetwork, readIpInterface } from './iproute-host-network.ts';
import { createKernelTunnel, hasKernelWireGuard } from './kernel-tunnel.ts';
import { createNftablesFirewall } from './nftables-firewall.ts';
import { createNftablesPeerPorts } from './nftables-peer-ports.ts';
import { createNftablesPortShare } from './nftables-port-share.ts';
import { createNftablesSourcePin } from './nftables-source-pin.ts';
import type { PeerPorts } from './peer-ports.ts';
import type { PortShare } from './port-share.ts';
import type { SourcePin } from './source-pin.ts';
import type { Tunnel } from './tunnel.ts';
import { createWireguardGoTunnel } from './wireguard-go-tunnel.ts';

/** Where the data plane of this machine works. */
export interface SystemPortsOptions {
  /** 1-15 letters, digits, `-` and `_`, the first one a letter. */
  readonly interfaceName: string;
  /** Folder of the pid file and log of wireguard-go, mode 0700. */
  readonly stateDir: string;
  readonly runner: CommandRunner;
  /** Default: the kernel's WireGuard where there is one, else wireguard-go. */
  readonly technology?: 'kernel' | 'wireguard-go';
}

/** The ports of this machine. */
export interface SystemPorts {
  readonly tunnel: Tunnel;
  readonly network: HostNetwork;
  readonly firewall: Firewall;
  readonly portShare: PortShare;
  readonly sourcePin: SourcePin;
  readonly peerPorts: PeerPorts;
}

/** Bit of CAP_NET_ADMIN in a capability mask (capabilities(7)). */
const CAP_NET_ADMIN_BIT = 12n;

/**
 * Chooses the adapters of this machine: an existing interface of the name keeps the technology that made it. Throws
 * DataplaneError: `no-root` without CAP_NET_ADMIN, `invalid-plan` for an interface name that is none, `command-missing`
 * where iproute2 or, with the kernel's WireGuard, wireguard-tools is absent.
 */
export async function createSystemPorts(options: SystemPortsOptions): Promise<SystemPorts> {
  const { interfaceName, runner } = options;
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,14}$/.test(interfaceName)) {
    throw new DataplaneError(
      'invalid-plan',
      `${JSON.stringify(interfaceName)} is no usable interface name.`,
      'Choose up to 15 letters, digits, `-` and `_` with --interface, beginning with a letter.',
    );
  }
  await assertNetworkAdministrator();
  const technology = options.technology ?? (await chooseTechnology(options));
  return {
    tunnel:
      technology === 'kernel' ? createKernelTunnel(options) : createWireguardGoTunnel(options),
    network: createIprouteHostNetwork({ interfaceName, runner }),
    firewall: createNftablesFirewall({ interfaceName, runner }),
    portShare: createNftablesPortShare({ interfaceName, runner }),
    sourcePin: createNftablesSourcePin({ interfaceName, runner }),
    peerPorts: createNftablesPeerPorts({ interfaceName, runner }),
  };
}

async function chooseTechnology(options: SystemPortsOptions): Promise<'kernel' | 'wireguard-go'> {
  const existing = await readIpInterface(options.runner, options.interfaceName);
  if (existing !== null) return existing.kind === 'wireguard' ? 'kernel' : 'wireguard-go';
  const probeName = `nxprobe${randomBytes(4).toString('hex')}`;
  return (await hasKernelWireGuard(options.runner, probeName)) ? 'kernel' : 'wireguard-go';
}

async function assertNetworkAdministrator(): Promise<void> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  if ((BigInt(`0x${mask}`) >> CAP_NET_ADMIN_BIT) % 2n === 1n) return;
  throw new DataplaneError(
    'no-root',
    "nexd may not change this machine's network.",
    'Run it as root, or give it the capability CAP_NET_ADMIN.',
  );
}
