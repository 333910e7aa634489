/** Relays as real modules in this process, each behind a wire that tests can cut, and devices with the agent's relay paths. */
import { connect, createServer, type Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import {
  DIRECT,
  generateDeviceKeys,
  openPortSocket,
  type RelayDemand,
  RelayPaths,
} from '@nexodus/agent/testing';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  issueServerCertificate,
} from '@nexodus/certificates';
import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import type { IssueRelayGrantsRequest, Relay } from '@nexodus/contracts/agent';
import {
  GrantPayload,
  GrantServiceDefinition,
  type GrantServiceImplementation,
  RelayHeartbeat,
} from '@nexodus/contracts/relay';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { type RunningParts, startParts } from '@nexodus/lifecycle';
import { createInProcessMessageBus } from '@nexodus/messaging';
import { createRelayModule, relayConfig } from '@nexodus/relay';
import { grantKeyId, signGrant } from '@nexodus/relay-grant';
import { createInMemoryClient, type ServedCall, type ServiceIdentity } from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { type DiscoPrivateKey, formatX25519PublicKey } from '@nexodus/wireguard';
import { createNoopMeter } from '@opentelemetry/api';

/** A relay behind a wire. */
export interface FleetRelay {
  readonly relayId: string;
  /** Breaks all connections and refuses new ones. */
  cut(): void;
  /** Lets nothing through any more, and says nothing. */
  silence(): void;
  restore(): void;
  /** Stops it as an operator would: it asks its devices to leave first. */
  drain(): Promise<void>;
  readonly attached: number;
}

/** A device whose tunnel is a socket of the test. */
export interface FleetDevice {
  readonly deviceId: string;
  readonly paths: RelayPaths;
  /** Relay that carries what it sends; empty for none. */
  readonly relayId: string;
  /** Numbers of the packets that arrived, with when. */
  readonly arrived: readonly { readonly number: number; readonly atMs: number }[];
  readonly keys: { readonly disco: DiscoPrivateKey };
  /** Signals that arrived, with the peer that a relay named. */
  readonly heard: readonly { readonly peerId: string; readonly sealed: Uint8Array }[];
  /** Sends a numbered packet to the other device the way its tunnel would. */
  send(number: number): void;
}

/** Relays and two devices. */
export interface Fleet extends AsyncDisposable {
  readonly relays: readonly FleetRelay[];
  readonly devices: readonly [FleetDevice, FleetDevice];
}

const DRAIN_SECONDS = 10;
const signingKey = Ed25519PrivateKey.generate('relay-grant');

/** Starts so many relays and two devices that meet at them. */
export async function startFleet(count: number, demand: RelayDemand): Promise<Fleet> {
  await using undo = new AsyncDisposableStack();
  const ca = await createCertificateAuthority({ commonName: 'fleet', now: new Date(), years: 1 });
  const relays: RunningRelay[] = [];
  for (let index = 1; index <= count; index += 1) {
    relays.push(undo.use(await startRelay(`relay-${index}`, ca)));
  }
  const service = new GrantMaker();
  const devices = [
    undo.use(await startDevice({ deviceId: 'a', caPem: ca.certificatePem, demand, service })),
    undo.use(await startDevice({ deviceId: 'b', caPem: ca.certificatePem, demand, service })),
  ] as const;
  const [a, b] = devices;
  a.meet(b);
  b.meet(a);
  const map = { relays: relays.map(({ entry }) => entry), stunServers: [] };
  for (const device of devices) device.paths.tellMap(map);
  const stack = undo.move();
  return { relays, devices, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

class RunningRelay implements FleetRelay, AsyncDisposable {
  readonly entry: Relay;
  readonly #wire: Wire;
  readonly #running: RunningParts;

  constructor(entry: Relay, wire: Wire, running: RunningParts) {
    this.entry = entry;
    this.#wire = wire;
    this.#running = running;
  }

  get relayId(): string {
    return this.entry.relayId;
  }

  get attached(): number {
    return this.#wire.size;
  }

  cut(): void {
    this.#wire.cut();
  }

  silence(): void {
    this.#wire.silence();
  }

  restore(): void {
    this.#wire.restore();
  }

  async drain(): Promise<void> {
    await this.#running.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wire.close();
    await this.#running.stop();
  }
}

async function startRelay(relayId: string, ca: CertificateAuthority): Promise<RunningRelay> {
  const leaf = await issueServerCertificate({
    ca,
    dnsNames: [],
    ipAddresses: ['127.0.0.1'],
    now: new Date(),
    days: 1,
  });
  const bus = createInProcessMessageBus();
  const told: RelayHeartbeat[] = [];
  bus.subscribe('nexodus.relay.heartbeat', ({ data }) => {
    told.push(RelayHeartbeat.decode(data));
  });
  const [first, last, stunPort] = await freePorts();
  const module = createRelayModule({
    config: relayConfig.parse({
      id: relayId,
      listen: '127.0.0.1:0',
      drain_seconds: DRAIN_SECONDS,
      udp: {
        first_port: first,
        last_port: last,
        threads: 1,
        offload: false,
        stun_port: stunPort,
      },
    }),
    tls: { certificate: leaf.certificatePem, key: leaf.key.exportPem() },
    grants: createInMemoryClient(GrantServiceDefinition, grantService(), {
      identity: { service: 'relay' },
    }),
    bus,
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    meter: createNoopMeter(),
  });
  const running = await startParts(module.parts);
  const { stunAddresses, url } = await eventually(() => told[0] ?? false);
  const wire = await openWire(Number(new URL(url).port));
  const entry = {
    relayId,
    region: '',
    url: `https://127.0.0.1:${wire.port}`,
    stunAddresses,
    available: true,
    draining: false,
  };
  return new RunningRelay(entry, wire, running);
}

/** First and last of a range of free ports, and one more, as far as one can know. */
async function freePorts(): Promise<[number, number, number]> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port < 60_000 ? [port + 1, port + 20, port] : freePorts();
}

function grantService(): GrantServiceImplementation<ServedCall<ServiceIdentity>> {
  const publicKey = Buffer.from(signingKey.publicKey);
  return {
    listGrantKeys: async () => ({
      keys: [{ keyId: grantKeyId(signingKey.publicKey), publicKey }],
    }),
    watchPasses: async function* watch(_requests, { signal }) {
      yield {};
      await once(signal, 'abort');
    },
  };
}

interface Wire {
  readonly port: number;
  readonly size: number;
  cut(): void;
  silence(): void;
  restore(): void;
  close(): void;
}

/** A TCP forwarder to a local port. */
async function openWire(target: number): Promise<Wire> {
  const sockets = new Set<Socket>();
  let state: 'whole' | 'cut' | 'silent' = 'whole';
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => undefined);
      from.on('data', (data) => state === 'whole' && to.write(data));
      from.on('close', () => {
        sockets.delete(from);
        if (state === 'whole') to.destroy();
      });
    }
    if (state === 'cut') near.resetAndDestroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: address.port,
    get size() {
      return sockets.size / 2;
    },
    cut: () => {
      state = 'cut';
      cut();
    },
    silence: () => {
      state = 'silent';
    },
    restore: () => {
      cut();
      state = 'whole';
    },
    close: () => {
      cut();
      server.close();
    },
  };
}

/** The service, as far as devices ask it for grants. */
class GrantMaker {
  readonly devices = new Map<string, RunningDevice>();

  issue(deviceId: string, { peerDeviceIds, relayIds }: IssueRelayGrantsRequest) {
    const pairs = peerDeviceIds.map((peerId) => this.#sign([deviceId, peerId], relayIds));
    return { pass: this.#sign([deviceId], relayIds), pairs };
  }

  #sign(deviceIds: readonly string[], relayIds: readonly string[]) {
    const nowSeconds = BigInt(Math.floor(Date.now() / 1_000));
    const payload = GrantPayload.fromPartial({
      grantId: randomUUID(),
      organizationId: 'organization',
      vpcId: 'vpc',
      devices: deviceIds.toSorted().map((deviceId) => {
        const { keys } = this.devices.get(deviceId) ?? {};
        if (keys === undefined) throw new Error(`${deviceId} is not known`);
        return {
          deviceId,
          devicePublicKey: Buffer.from(keys.device.publicKey),
          wireguardPublicKey: Buffer.from(keys.wireGuard.publicKey),
        };
      }),
      relayIds: [...relayIds],
      notBeforeSeconds: nowSeconds,
      notAfterSeconds: nowSeconds + 600n,
    });
    return signGrant(payload, signingKey);
  }
}

interface DeviceWish {
  readonly deviceId: string;
  readonly caPem: string;
  readonly demand: RelayDemand;
  readonly service: GrantMaker;
}

async function startDevice(wish: DeviceWish): Promise<RunningDevice> {
  const portSocket = await openPortSocket();
  return new RunningDevice(wish, portSocket);
}

/** WireGuard's transport data, of which relays read the type only. */
const DATA = Buffer.from('0400000001000000', 'hex');
const DATA_BYTES = 64;

class RunningDevice implements FleetDevice, AsyncDisposable {
  readonly deviceId: string;
  readonly keys = generateDeviceKeys();
  readonly paths: RelayPaths;
  readonly arrived: { number: number; atMs: number }[] = [];
  readonly heard: { peerId: string; sealed: Uint8Array }[] = [];
  readonly #portSocket: Awaited<ReturnType<typeof openPortSocket>>;
  #peer: RunningDevice | undefined;

  constructor(
    { caPem, demand, deviceId, service }: DeviceWish,
    portSocket: Awaited<ReturnType<typeof openPortSocket>>,
  ) {
    this.deviceId = deviceId;
    this.#portSocket = portSocket;
    service.devices.set(deviceId, this);
    // The tunnel's socket and the agent's own are one here, so nothing has to be rewritten.
    portSocket.listen((datagram) => {
      if (datagram.length !== DATA_BYTES || datagram[0] !== DATA[0]) return;
      const number = new DataView(datagram.buffer, datagram.byteOffset).getUint32(16);
      this.arrived.push({ number, atMs: performance.now() });
    });
    this.paths = new RelayPaths({
      deviceId,
      keys: this.keys,
      access: { caPem, proxies: DIRECT },
      demand,
      client: { issueRelayGrants: async (request) => service.issue(deviceId, requestOf(request)) },
      portShare: { install: async () => {}, remove: async () => {} },
      portSocket,
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
      onChange: () => this.#peer?.learn(),
      onSignal: (peerId, sealed) => void this.heard.push({ peerId, sealed }),
    });
  }

  get relayId(): string {
    const peerId = this.#peer?.deviceId ?? '';
    const endpoint = this.paths.endpoints.get(peerId);
    return endpoint === undefined ? '' : this.paths.pathOf(peerId, endpoint).relayId;
  }

  meet(peer: RunningDevice): void {
    this.#peer = peer;
    this.learn();
  }

  /** What the service would tell of the peer. */
  learn(): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    const { homeRelayId, relayLatencies } = peer.paths.whereabouts;
    const wireGuardKey = formatX25519PublicKey(peer.keys.wireGuard.publicKey);
    const told = { deviceId: peer.deviceId, wireGuardKey, homeRelayId, relayLatencies };
    this.paths.tellMachine({
      peers: [{ ...told, handshakeAtMs: Date.now() }],
      tunnelPort: this.#portSocket.ports.ipv4 ?? 0,
      addresses: [],
    });
  }

  send(number: number): void {
    const endpoint = this.paths.endpoints.get(this.#peer?.deviceId ?? '');
    if (endpoint === undefined) return;
    const [address = '', port] = endpoint.split(':');
    const packet = Buffer.alloc(DATA_BYTES);
    DATA.copy(packet);
    packet.writeUInt32BE(number, 16);
    this.#portSocket.send(packet, { address, port: Number(port) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.paths.close();
  }
}

function requestOf(request: Partial<IssueRelayGrantsRequest>): IssueRelayGrantsRequest {
  return { peerDeviceIds: request.peerDeviceIds ?? [], relayIds: request.relayIds ?? [] };
}
