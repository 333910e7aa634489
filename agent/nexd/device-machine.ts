/** The machine of a device: the facts that it tells, and putting in force what follows from them. */
import { context, propagation, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import { PathKind, type PeerPath } from '@nexodus/contracts/agent';
import { type Endpoint, EndpointKind } from '@nexodus/contracts/type';
import {
  formatIpAddress,
  InvalidAddressError,
  type IpPrefix,
  parseIpAddress,
  parseIpPrefix,
} from '@nexodus/netip';
import type { Logger } from '@nexodus/telemetry';
import {
  type DeviceFacts,
  type DeviceMemory,
  type DeviceModel,
  reduceDevice,
} from '../core/device-model.ts';
import {
  type Dataplane,
  DataplaneError,
  type DataplaneStatus,
  type Names,
  type NamesStatus,
  planDevice,
  type SystemPorts,
} from '../dataplane/index.ts';
import { DIRECT_PATH, type PeerPathView } from '../relay/index.ts';

/** Facts that the machine does not know by itself. */
export type RemoteFacts = Pick<
  DeviceFacts,
  | 'deviceId'
  | 'vpcId'
  | 'ownWireGuardKey'
  | 'enrolledAddresses'
  | 'entries'
  | 'states'
  | 'relayEndpoints'
  | 'withdrawal'
>;

/** What goes with one putting in force. */
export interface InForceOptions {
  readonly memory: DeviceMemory;
  /** W3C trace context of the change, or empty. */
  readonly traceparent: string;
  /** Called with what will be put in force, before it is. */
  readonly beforeApply: (model: DeviceModel) => Promise<void>;
  /** How a peer is reached that the tunnel sends to at an endpoint. Default: directly. */
  readonly pathOf?: (deviceId: string, endpoint: string) => PeerPathView;
}

/** What is in force now. */
export interface MachineReport {
  readonly model: DeviceModel;
  /** Empty, or one line: why not everything is in force. */
  readonly problem: string;
  readonly failure: DataplaneError | undefined;
  /** Whether the failure is one that only a person can mend, and none of the plan is in force. */
  readonly isFatal: boolean;
  /** Where the device may be reached, best first; at most 16. */
  readonly endpoints: readonly Endpoint[];
  readonly paths: readonly PeerPath[];
  /** The tunnel afterwards; undefined where it cannot be read. */
  readonly tunnel: DataplaneStatus | undefined;
}

/** The machine. */
export interface DeviceMachine {
  readonly interfaceName: string;
  /** Reduces the facts and puts the result in force. Calls come one after the other. Rejects only for programming errors. */
  putInForce(facts: RemoteFacts, options: InForceOptions): Promise<MachineReport>;
  status(): Promise<DataplaneStatus>;
  namesStatus(): NamesStatus;
  watch(onChange: () => void, signal: AbortSignal): Promise<void>;
}

/** What the machine is made of. */
export interface DeviceMachineOptions {
  readonly interfaceName: string;
  readonly listenPort: number;
  readonly dataplane: Dataplane;
  readonly network: SystemPorts['network'];
  readonly names: Names;
  readonly now: () => Date;
  readonly logger: Logger;
}

/** At most this many endpoints are told (agent.proto, LocalState). */
const MAX_ENDPOINTS = 16;

/** At most this many paths are told (agent.proto, PathReport). */
const MAX_PATHS = 1_000;

const IPV6_OFF =
  'IPv6 is switched off on this machine (disable_ipv6): peers are reached by their IPv4 addresses only';

const fatalReasons: ReadonlySet<string> = new Set([
  'no-root',
  'no-tun',
  'interface-taken',
  'address-collision',
  'port-taken',
  'command-missing',
  'wireguard-go-too-old',
  'tunnel-failed',
]);

/** Makes the machine; it changes nothing before `putInForce`. */
export function createDeviceMachine(options: DeviceMachineOptions): DeviceMachine {
  const { interfaceName, dataplane, names } = options;
  return {
    interfaceName,
    putInForce: (facts, inForce) => putInForce(options, facts, inForce),
    status: () => dataplane.status(),
    namesStatus: () => names.status(),
    watch: (onChange, signal) => dataplane.watch(onChange, signal),
  };
}

async function putInForce(
  options: DeviceMachineOptions,
  remote: RemoteFacts,
  { memory, traceparent, beforeApply, pathOf = () => DIRECT_PATH }: InForceOptions,
): Promise<MachineReport> {
  const model = reduceDevice({ ...remote, ...(await readMachine(options)) }, memory);
  await beforeApply(model);
  const { failure, tunnel } = await inSpan(traceparent, model, () => apply(options, model));
  const refusedRoutes = tunnel?.refusedRoutes ?? [];
  const problems = [
    model.problem,
    failure === undefined ? '' : `${failure.message} ${failure.remedy}`,
    ...refusedRoutes.map(
      ({ planned, onLink }) =>
        `${planned} is not routed: the network ${onLink.prefix} at ${onLink.interfaceName} holds it`,
    ),
    tunnel?.isIpv6Off === true ? IPV6_OFF : '',
  ];
  return {
    model,
    problem: problems.filter((line) => line !== '').join('; '),
    failure,
    isFatal: failure !== undefined && fatalReasons.has(failure.reason),
    endpoints: await readEndpoints(options, tunnel?.listenPort ?? 0),
    paths: tunnel === undefined ? [] : pathsOf(model, tunnel, { now: options.now(), pathOf }),
    tunnel,
  };
}

/** What came of one change. */
interface Applied {
  readonly failure: DataplaneError | undefined;
  /** The tunnel afterwards; undefined where it cannot be read. */
  readonly tunnel: DataplaneStatus | undefined;
}

async function apply(options: DeviceMachineOptions, model: DeviceModel): Promise<Applied> {
  const { dataplane } = options;
  const failure = await dataplane.apply(planDevice(model.intent)).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof DataplaneError) return error;
      throw error;
    },
  );
  const tunnel = await dataplane.status().catch(() => undefined);
  if (failure === undefined) await applyNames(options, model, tunnel);
  return { failure, tunnel };
}

async function applyNames(
  { names, logger }: DeviceMachineOptions,
  { self, intent, accepted }: DeviceModel,
  tunnel: DataplaneStatus | undefined,
): Promise<void> {
  // Who shall hold no peers names none: before the first view, and after the device was deleted.
  if (self === undefined) {
    await names.down().catch((error: unknown) => logger.debug({ error }, 'names stay'));
    return;
  }
  const own = { hostname: self.hostname, addresses: intent.addresses };
  // Names are a convenience: their status tells what is wrong with them, the tunnel does not wait for it.
  await names
    .apply(self.vpcName, [own, ...accepted], tunnel?.interfaceIndex ?? null)
    .catch((error: unknown) => logger.debug({ error }, 'names are not answered'));
}

/** Runs the change in a span that continues the trace of whoever caused it. */
async function inSpan(
  traceparent: string,
  model: DeviceModel,
  change: () => Promise<Applied>,
): Promise<Applied> {
  if (traceparent === '') return change();
  const parent = propagation.extract(ROOT_CONTEXT, { traceparent });
  const span = trace
    .getTracer('nexd')
    .startSpan('nexd apply', { attributes: { peers: model.accepted.length } }, parent);
  try {
    const applied = await context.with(trace.setSpan(parent, span), change);
    const { failure } = applied;
    if (failure !== undefined)
      span.setStatus({ code: SpanStatusCode.ERROR, message: failure.reason });
    return applied;
  } finally {
    span.end();
  }
}

async function readMachine({
  dataplane,
  network,
  listenPort,
  now,
}: DeviceMachineOptions): Promise<
  Pick<DeviceFacts, 'traffic' | 'onLink' | 'localAddresses' | 'listenPort' | 'now'>
> {
  const [tunnel, onLink, local] = await Promise.all([
    dataplane.status().catch(() => undefined),
    network.onLinkPrefixes().catch(() => []),
    dataplane.localAddresses().catch(() => []),
  ]);
  const traffic = (tunnel?.peers ?? []).map(
    ({ publicKey, latestHandshakeAt, txBytes }) =>
      [publicKey, { handshakeAtMs: latestHandshakeAt?.getTime(), txBytes }] as const,
  );
  return {
    traffic: new Map(traffic),
    onLink: onLink.flatMap(({ prefix }) => readPrefix(prefix)),
    localAddresses: local.flatMap(({ address }) => readAddress(address)),
    listenPort,
    now: now(),
  };
}

async function readEndpoints(
  { dataplane }: DeviceMachineOptions,
  listenPort: number,
): Promise<Endpoint[]> {
  if (listenPort === 0) return [];
  const local = await dataplane.localAddresses().catch(() => []);
  const addresses = new Set(local.flatMap(({ address }) => readAddress(address)));
  return [...addresses].slice(0, MAX_ENDPOINTS).map((address) => ({
    address: address.includes(':') ? `[${address}]:${listenPort}` : `${address}:${listenPort}`,
    kind: EndpointKind.LOCAL,
  }));
}

function pathsOf(
  model: DeviceModel,
  tunnel: DataplaneStatus,
  { now, pathOf }: Pick<Required<InForceOptions>, 'pathOf'> & { readonly now: Date },
): PeerPath[] {
  const held = new Map(tunnel.peers.map((peer) => [peer.publicKey, peer]));
  return model.accepted
    .flatMap(({ deviceId, wireGuardKey }) => {
      const peer = held.get(wireGuardKey);
      if (peer === undefined || peer.rxBytes + peer.txBytes === 0) return [];
      const { latestHandshakeAt, endpoint = '' } = peer;
      const ageMs =
        latestHandshakeAt === null ? undefined : now.getTime() - latestHandshakeAt.getTime();
      const handshakeAgeSeconds =
        ageMs === undefined ? undefined : Math.max(0, Math.floor(ageMs / 1000));
      return [
        {
          deviceId,
          endpoint,
          handshakeAgeSeconds,
          ...pathFields(endpoint === '' ? undefined : pathOf(deviceId, endpoint)),
        },
      ];
    })
    .slice(0, MAX_PATHS);
}

const pathKinds: Readonly<Record<PeerPathView['kind'], PathKind>> = {
  direct: PathKind.DIRECT,
  'relay-udp': PathKind.RELAY_UDP,
  'relay-tls': PathKind.RELAY_TLS,
};

function pathFields(path: PeerPathView | undefined): Pick<PeerPath, 'kind' | 'reason' | 'relayId'> {
  if (path === undefined) return { kind: PathKind.UNSPECIFIED, reason: '', relayId: '' };
  return { kind: pathKinds[path.kind], reason: path.reason, relayId: path.relayId };
}

function readAddress(text: string): string[] {
  try {
    return [formatIpAddress(parseIpAddress(text))];
  } catch (error) {
    if (error instanceof InvalidAddressError) return [];
    throw error;
  }
}

function readPrefix(text: string): IpPrefix[] {
  try {
    return [parseIpPrefix(text)];
  } catch (error) {
    if (error instanceof InvalidAddressError) return [];
    throw error;
  }
}
