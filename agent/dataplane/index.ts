/**
 * The agent's data plane: what a device holds on its machine so that packets of its VPC, and no others, pass.
 *
 * **Plan as data, apply the difference.** The rest of the agent says what it was shown (`planDevice`) and gets a
 * `DevicePlan`: interface settings, peers, routes and the firewall's sets, plain data without a secret. `apply` reads
 * what the machine holds, computes the operations between the two (core/diff-plan.ts, pure) and runs them through three
 * ports: `Tunnel` (WireGuard), `HostNetwork` (addresses and routes) and `Firewall` (nft). There is no other way to
 * change anything, so a first start, a delta, a repair and the adoption of a tunnel that outlived an earlier nexd are
 * one code path, and a plan applied twice does nothing the second time.
 *
 * **Fail closed.** Operations come in three phases: tighten, build, loosen. What is withdrawn goes first, each thing
 * even if another fails; new things are built behind a firewall that does not know them yet; the firewall opens last,
 * and only if everything before it succeeded. The nft table exists before the interface does and is removed after it.
 * An empty plan lets nothing through, which is also what an unknown policy means (`policy: "drop-all"`).
 *
 * **Who a packet is from** is settled twice: WireGuard accepts a source address only from the peer whose allowed
 * addresses hold it, and nft accepts it only while that peer is shown. Taking an address out of the set cuts
 * established flows too. Routes are one per peer address and approved prefix, never the VPC's prefix, so what is not
 * shown is not even sent.
 *
 * **Outliving nexd.** The interface stays when nexd ends; `down` alone removes it. wireguard-go runs in a session (or
 * transient unit) of its own and is adopted again through its UAPI socket, if it holds this device's key. A peer's
 * endpoint is written when the plan's changes, never because the peer roamed.
 *
 * An interface is ours if it carries our `ifalias` and key; anything else is left untouched (`interface-taken`).
 * One data plane is one interface in one network namespace, which is why the interface's name is not part of the plan.
 *
 * Names (`createNames`) stand beside it: a DNS server on loopback that knows the shown machines and nothing else.
 */
export { createCommandRunner } from './command-runner.ts';
export type { CommandRunner, CommandRunnerOptions } from './command-runner.ts';
export type { AddressCollision } from './core/address-collision.ts';
export { planDevice } from './core/device-plan.ts';
export type { DeviceIntent, DevicePlan, ShownPeer } from './core/device-plan.ts';
export type { NamedHost } from './core/name-zone.ts';
export { createDataplane } from './dataplane.ts';
export type {
  Dataplane,
  DataplaneCondition,
  DataplaneLogger,
  DataplaneOptions,
  DataplaneStatus,
} from './dataplane.ts';
export { DataplaneError } from './dataplane-error.ts';
export type { DataplaneReason } from './dataplane-error.ts';
export type { FirewallDrops } from './firewall.ts';
export type { LocalAddress } from './host-network.ts';
export { findHostResolver } from './host-resolver.ts';
export type { HostResolver, HostResolverHook } from './host-resolver.ts';
export type { MemoryHost } from './memory-host.ts';
export type { NameServerAddress } from './name-server.ts';
export { createNames } from './names.ts';
export type { Names, NamesOptions, NamesStatus } from './names.ts';
export type { PortShare, SharedPorts } from './port-share.ts';
export { createSystemPorts } from './system-ports.ts';
export type { SystemPorts, SystemPortsOptions } from './system-ports.ts';
export type { TunnelPeer } from './tunnel.ts';
