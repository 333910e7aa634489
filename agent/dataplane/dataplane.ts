import { setTimeout as delay } from 'node:timers/promises';
import { applyOperations } from './apply-operations.ts';
import type { DataplanePorts } from './apply-operations.ts';
import { findCollisions } from './core/address-collision.ts';
import type { AddressCollision } from './core/address-collision.ts';
import { observedEndpoint } from './core/dataplane-state.ts';
import type { DataplaneState } from './core/dataplane-state.ts';
import { quiescedPlan } from './core/device-plan.ts';
import type { DevicePlan } from './core/device-plan.ts';
import { diffPlan } from './core/diff-plan.ts';
import { withoutIpv6 } from './core/ipv6-off.ts';
import type { Operation } from './core/operation.ts';
import { without } from './core/text-set.ts';
import { DataplaneError } from './dataplane-error.ts';
import type { FirewallDrops } from './firewall.ts';
import type { LocalAddress } from './host-network.ts';
import type { Tunnel, TunnelPeer } from './tunnel.ts';

/** What the data plane logs to; pino's logger is one. Fields hold no addresses above debug and never key material. */
export interface DataplaneLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** What `createDataplane` needs. */
export interface DataplaneOptions extends DataplanePorts {
  readonly logger: DataplaneLogger;
  /** The current instant. */
  readonly now: () => Date;
}

/**
 * `down`: no interface. `up`: everything as planned. `degraded`: what is wanted could not be made whole (`failure` says
 * why); what is missing is closed, never open.
 */
export type DataplaneCondition = 'down' | 'up' | 'degraded';

/** What the data plane holds at this moment. */
export interface DataplaneStatus {
  readonly condition: DataplaneCondition;
  readonly technology: Tunnel['technology'];
  /** See NetworkReading.index; null: no interface. */
  readonly interfaceIndex: number | null;
  /** 0 while no port is bound. */
  readonly listenPort: number;
  readonly addresses: readonly string[];
  readonly peers: readonly TunnelPeer[];
  readonly drops: FirewallDrops | null;
  /** Why the last `apply` or `repair` did not succeed; null if it did. */
  readonly failure: DataplaneError | null;
  /** Planned routes left out because a network at hand holds them. */
  readonly refusedRoutes: readonly AddressCollision[];
  /** Whether IPv6 addresses and routes of the plan were left out because the machine has IPv6 switched off. */
  readonly isIpv6Off: boolean;
}

/**
 * The data plane of one device. Calls may overlap: they happen one after the other, in the order made. Everything thrown
 * is a DataplaneError, except by programming errors.
 */
export interface Dataplane {
  /**
   * Makes the machine hold exactly this plan; idempotent. An interface of ours left by an earlier nexd is adopted with
   * its live sessions. On failure everything that the plan withdraws is withdrawn as far as possible, nothing new is
   * open, `status` tells, and `repair` tries again. Throws, without any change but to a tunnel of ours which it then
   * closes: `address-collision`.
   */
  apply(plan: DevicePlan): Promise<void>;

  /**
   * Compares the machine with the plan applied last and mends what drifted or failed; to be called every 5 s and after
   * network changes. Resolves with the kinds of operations that were needed. Does nothing before the first `apply` and
   * after `down`.
   */
  repair(): Promise<readonly Operation['kind'][]>;

  /** Reads the machine; changes nothing. */
  status(): Promise<DataplaneStatus>;

  /** Addresses at which peers may find this machine, those within its tunnel excluded. */
  localAddresses(): Promise<LocalAddress[]>;

  /** Tells of changes to links, addresses and routes until `signal` aborts; see HostNetwork.watch. */
  watch(onChange: () => void, signal: AbortSignal): Promise<void>;

  /**
   * Removes interface, addresses, routes, process and nft table, also what an earlier nexd left; idempotent. The table
   * goes last. Throws `interface-taken` without touching an interface that is not ours.
   */
  down(): Promise<void>;
}

/** Longest wait for a tunnel that may choose its port to have bound one. */
const PORT_TIMEOUT_MS = 2000;

const PORT_POLL_MS = 10;

/** What one data plane remembers between calls. */
interface Memory {
  plan: DevicePlan | null;
  /** Endpoints asked for last, by public key. */
  asked: ReadonlyMap<string, string | undefined>;
  /** Whether the interface is known to have our key: made or adopted by this process. */
  isOwned: boolean;
  failure: DataplaneError | null;
  refusedRoutes: readonly AddressCollision[];
  isIpv6Off: boolean;
}

/** Makes the data plane over its ports; it changes nothing until `apply`. */
export function createDataplane(options: DataplaneOptions): Dataplane {
  const { tunnel, network, firewall, logger } = options;
  const memory: Memory = {
    plan: null,
    asked: new Map(),
    isOwned: false,
    failure: null,
    refusedRoutes: [],
    isIpv6Off: false,
  };
  const inTurn = createQueue();
  return {
    apply: (plan) =>
      inTurn(async () => {
        memory.plan = plan;
        await converge(options, memory, plan);
      }),
    repair: () =>
      inTurn(async () => {
        if (memory.plan === null) return [];
        const kinds = await converge(options, memory, memory.plan);
        if (kinds.length > 0) logger.warn({ operations: kinds }, 'data plane repaired');
        return kinds;
      }),
    status: () => inTurn(() => readStatus(options, memory)),
    localAddresses: () => network.localAddresses(),
    watch: (onChange, signal) => network.watch(onChange, signal),
    down: () =>
      inTurn(async () => {
        memory.plan = null;
        await tunnel.remove();
        await firewall.remove();
        Object.assign(memory, {
          asked: new Map(),
          isOwned: false,
          failure: null,
          refusedRoutes: [],
          isIpv6Off: false,
        });
        logger.info({}, 'data plane removed');
      }),
  };
}

/** Runs tasks one after the other; a failed one does not stop the next. */
function createQueue() {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(task: () => Promise<T>): Promise<T> => {
    const next = last.then(task, task);
    last = next.catch(() => undefined);
    return next;
  };
}

async function converge(
  options: DataplaneOptions,
  memory: Memory,
  plan: DevicePlan,
): Promise<Operation['kind'][]> {
  try {
    const kinds = await convergeOnce(options, memory, plan);
    memory.failure = null;
    return kinds;
  } catch (error) {
    const failure = asDataplaneError(error);
    memory.failure = failure;
    options.logger.warn({ reason: failure.reason, err: failure }, 'data plane incomplete');
    throw failure;
  }
}

async function convergeOnce(
  options: DataplaneOptions,
  memory: Memory,
  plan: DevicePlan,
): Promise<Operation['kind'][]> {
  const onLink = await options.network.onLinkPrefixes();
  const own = findCollisions(plan.addresses, onLink)[0];
  memory.refusedRoutes = findCollisions(plan.routes, onLink);
  await claimInterface(options, memory);
  if (own !== undefined) {
    await quiesce(options, memory, plan);
    throw collisionError(own);
  }
  const refused = memory.refusedRoutes.map((collision) => collision.planned);
  const routed = { ...plan, routes: without(plan.routes, refused) };
  const possible = (await options.network.hasIpv6()) ? routed : withoutIpv6(routed);
  const isWhole =
    possible.addresses.length + possible.routes.length ===
    routed.addresses.length + routed.routes.length;
  memory.isIpv6Off = !isWhole;
  return applyPlan(options, memory, possible);
}

/** An interface that exists is adopted, or refused, before anything is changed for it or on it. */
async function claimInterface(
  { tunnel, network, privateKey }: DataplaneOptions,
  memory: Memory,
): Promise<void> {
  const isOwned = memory.isOwned && (await tunnel.read()) !== null;
  const exists = isOwned || (await network.read()) !== null;
  memory.isOwned = isOwned || (exists && (await tunnel.adopt(privateKey)));
}

async function applyPlan(
  options: DataplaneOptions,
  memory: Memory,
  plan: DevicePlan,
): Promise<Operation['kind'][]> {
  const operations = diffPlan(await observe(options, memory, plan), plan);
  await applyOperations(operations, options);
  memory.isOwned = true;
  memory.asked = new Map(plan.peers.map((peer) => [peer.publicKey, peer.endpoint]));
  const kinds = operations.map((operation) => operation.kind);
  if (kinds.includes('tunnel-create')) await waitForPort(options.tunnel);
  options.logger.debug({ operations: kinds }, 'data plane in step');
  return kinds;
}

/** Takes everything off a tunnel of ours, if there is one. */
async function quiesce(options: DataplaneOptions, memory: Memory, plan: DevicePlan): Promise<void> {
  if (memory.isOwned && (await options.tunnel.read()) !== null) {
    await applyPlan(options, memory, quiescedPlan(plan));
  }
}

async function observe(
  { tunnel, network, firewall, now }: DataplaneOptions,
  memory: Memory,
  plan: DevicePlan,
): Promise<DataplaneState> {
  const link = await network.read();
  const held = link === null ? null : await tunnel.read();
  const wanted = new Map(plan.peers.map((peer) => [peer.publicKey, peer]));
  const peers = (held?.peers ?? []).map((peer) => ({
    ...peer,
    endpoint: observedEndpoint({
      asked: memory.asked.get(peer.publicKey),
      wanted: wanted.get(peer.publicKey)?.endpoint,
      isFixed: wanted.get(peer.publicKey)?.isEndpointFixed === true,
      held: peer.endpoint,
      latestHandshakeAt: peer.latestHandshakeAt,
      now: now(),
    }),
  }));
  return {
    link: link && held && { ...link, listenPort: held.listenPort },
    addresses: link?.addresses ?? [],
    peers,
    routes: link?.routes ?? [],
    firewall: await firewall.read(),
  };
}

async function waitForPort(tunnel: Tunnel): Promise<void> {
  const deadline = performance.now() + PORT_TIMEOUT_MS;
  while ((await tunnel.read())?.listenPort === 0 && performance.now() < deadline) {
    await delay(PORT_POLL_MS);
  }
}

async function readStatus(
  { tunnel, network, firewall }: DataplaneOptions,
  memory: Memory,
): Promise<DataplaneStatus> {
  const held = await tunnel.read();
  const link = held === null ? null : await network.read();
  const filter = await firewall.read();
  const { failure, refusedRoutes, isIpv6Off } = memory;
  const isComplete = failure === null && refusedRoutes.length === 0 && !isIpv6Off;
  const isWhole = isComplete && filter !== null && link?.isUp === true;
  return {
    condition: held === null && failure === null ? 'down' : isWhole ? 'up' : 'degraded',
    technology: tunnel.technology,
    interfaceIndex: link?.index ?? null,
    listenPort: held?.listenPort ?? 0,
    addresses: link?.addresses ?? [],
    peers: held?.peers ?? [],
    drops: filter?.drops ?? null,
    failure,
    refusedRoutes,
    isIpv6Off,
  };
}

function collisionError({ planned, onLink }: AddressCollision): DataplaneError {
  return new DataplaneError(
    'address-collision',
    `The tunnel address ${planned} lies in ${onLink.prefix}, the network at interface ${onLink.interfaceName}.`,
    'Enrol the device again for another address, or give the VPC a prefix that this network does not use.',
  );
}

function asDataplaneError(error: unknown): DataplaneError {
  if (error instanceof DataplaneError) return error;
  const message = 'The data plane failed for an unforeseen reason.';
  return new DataplaneError('tunnel-failed', message, 'See the log of nexd.', { cause: error });
}
