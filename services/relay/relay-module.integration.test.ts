import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, type TLSSocket } from 'node:tls';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  issueServerCertificate,
} from '@nexodus/certificates';
import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import {
  GrantPayload,
  GrantServiceDefinition,
  type GrantServiceImplementation,
  RelayHeartbeat,
  RelayServiceDefinition,
  type SignedGrant,
  type WatchPassesRequest,
} from '@nexodus/contracts/relay';
import { type AttachResponse, SessionServiceDefinition } from '@nexodus/contracts/relay-session';
import { type DerpClient, openDerpClient, requestDerpUpgrade } from '@nexodus/derp/connection';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { startParts } from '@nexodus/lifecycle';
import { createInProcessMessageBus } from '@nexodus/messaging';
import { grantKeyId, proveAttachment, signGrant } from '@nexodus/relay-grant';
import {
  createInMemoryClient,
  createRpcClient,
  openChannel,
  type ServedCall,
  type ServiceIdentity,
} from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { WireGuardPrivateKey } from '@nexodus/wireguard';
import { createNoopMeter } from '@opentelemetry/api';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { relayConfig } from './relay-config.ts';
import { createRelayModule } from './relay-module.ts';

const signingKey = Ed25519PrivateKey.generate('relay-grant');
let ca: CertificateAuthority;
let stack: AsyncDisposableStack;
beforeAll(async () => {
  ca = await createCertificateAuthority({ commonName: 'test', now: new Date(), years: 1 });
});
afterEach(() => stack?.disposeAsync());

/** The control plane, as the relay sees it: says what tests let it revoke. */
class ScriptedControlPlane {
  readonly followed = new Set<string>();
  #revoke: ((grantId: string) => void) | undefined;

  readonly client = createInMemoryClient(GrantServiceDefinition, this.#handlers(), {
    identity: { service: 'relay' },
  });

  revoke(grantId: string): void {
    this.#revoke?.(grantId);
  }

  #handlers(): GrantServiceImplementation<ServedCall<ServiceIdentity>> {
    const publicKey = Buffer.from(signingKey.publicKey);
    return {
      listGrantKeys: async () => ({
        keys: [{ keyId: grantKeyId(signingKey.publicKey), publicKey }],
      }),
      watchPasses: (requests, { signal }) => this.#watch(requests, signal),
    };
  }

  async *#watch(requests: AsyncIterable<WatchPassesRequest>, signal: AbortSignal) {
    void this.#listen(requests);
    yield {};
    while (!signal.aborted) {
      const next = Promise.withResolvers<string>();
      this.#revoke = next.resolve;
      signal.addEventListener('abort', () => next.resolve(''), { once: true });
      yield { revokedGrantIds: [await next.promise] };
    }
  }

  async #listen(requests: AsyncIterable<WatchPassesRequest>): Promise<void> {
    for await (const { follow, unfollowGrantIds } of requests) {
      for (const { grantId } of follow) this.followed.add(grantId);
      for (const grantId of unfollowGrantIds) this.followed.delete(grantId);
    }
  }
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}

async function startRelay(limits: object = {}) {
  stack = new AsyncDisposableStack();
  const certificate = await issueServerCertificate({
    ca,
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    now: new Date(),
    days: 1,
  });
  const bus = createInProcessMessageBus();
  const heartbeats: RelayHeartbeat[] = [];
  bus.subscribe('nexodus.relay.heartbeat', ({ data }) => {
    heartbeats.push(RelayHeartbeat.decode(data));
  });
  const controlPlane = new ScriptedControlPlane();
  const module = createRelayModule({
    config: relayConfig.parse({
      id: 'relay-1',
      region: 'here',
      listen: '127.0.0.1:0',
      udp: { stun_port: await freeUdpPort() },
      limits,
    }),
    tls: { certificate: certificate.certificatePem, key: certificate.key.exportPem() },
    grants: controlPlane.client,
    bus,
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    meter: createNoopMeter(),
  });
  const running = await startParts(module.parts);
  stack.defer(() => running.stop());
  const { url } = await eventually(() => heartbeats[0] ?? false);
  return { controlPlane, heartbeats, module, port: Number(new URL(url).port) };
}

/** A device with its attachment. */
class Device {
  readonly deviceId: string;
  readonly deviceKey = Ed25519PrivateKey.generate('device');
  readonly wireGuardKey = WireGuardPrivateKey.generate();
  readonly heard: NonNullable<AttachResponse['message']>[] = [];
  readonly #port: number;
  readonly #outgoing: object[] = [];
  #wake = Promise.withResolvers<void>();
  #isOver = false;

  constructor(deviceId: string, port: number) {
    this.deviceId = deviceId;
    this.#port = port;
  }

  async attach(): Promise<void> {
    const address = `127.0.0.1:${this.#port}`;
    const channel = openChannel({ address, tls: { ca: ca.certificatePem } });
    const client = createRpcClient(SessionServiceDefinition, channel);
    const ending = new AbortController();
    const run = async (): Promise<void> => {
      for await (const { message } of client.attach(this.#requests(), { signal: ending.signal })) {
        if (message !== undefined) this.heard.push(message);
      }
    };
    const ended = run().catch(() => undefined);
    stack.defer(async () => {
      this.#isOver = true;
      this.#wake.resolve();
      ending.abort();
      await ended;
      channel.close();
    });
    const challenge = await this.#message('challenge');
    if (challenge.$case !== 'challenge') throw new Error('no challenge');
    const { nonce, relayId } = challenge.value;
    const pass = grantFor(this).signed;
    const statement = { relayId, nonce, passPayload: pass.payload };
    const signature = Buffer.from(proveAttachment(statement, this.deviceKey));
    this.say({ $case: 'attachment', value: { pass, signature } });
    await this.#message('attached');
  }

  async open(grant: SignedGrant): Promise<void> {
    this.say({ $case: 'openSession', value: { grant } });
    await this.#message('sessionOpened');
  }

  say(message: object): void {
    this.#outgoing.push({ message });
    this.#wake.resolve();
  }

  async connectDerp(): Promise<{ client: DerpClient; packets: string[] }> {
    const socket = connect({
      host: '127.0.0.1',
      port: this.#port,
      ca: ca.certificatePem,
      ALPNProtocols: ['http/1.1'],
    });
    await once(socket, 'secureConnect');
    stack.defer(() => void socket.destroy());
    const head = await requestDerpUpgrade(socket, { host: 'localhost' });
    const packets: string[] = [];
    const client = await openDerpClient({
      stream: socket,
      head,
      privateKey: this.wireGuardKey,
      clock: systemClock,
      random: randomBytes,
      onPacket: (_source, packet) => packets.push(Buffer.from(packet).toString()),
    });
    stack.defer(() => client.close());
    return { client, packets };
  }

  #message(kind: string) {
    return eventually(() => this.heard.find(({ $case }) => $case === kind) ?? false);
  }

  async *#requests(): AsyncGenerator<object> {
    while (!this.#isOver) {
      const next = this.#outgoing.shift();
      if (next !== undefined) yield next;
      else {
        await this.#wake.promise;
        this.#wake = Promise.withResolvers<void>();
      }
    }
  }
}

function grantFor(...devices: readonly Device[]): { signed: SignedGrant; grantId: string } {
  const nowSeconds = BigInt(Math.floor(Date.now() / 1_000));
  const payload = GrantPayload.fromPartial({
    grantId: randomBytes(8).toString('hex'),
    organizationId: 'organization',
    vpcId: 'vpc',
    devices: devices.map(({ deviceId, deviceKey, wireGuardKey }) => ({
      deviceId,
      devicePublicKey: Buffer.from(deviceKey.publicKey),
      wireguardPublicKey: Buffer.from(wireGuardKey.publicKey),
    })),
    relayIds: ['relay-1'],
    notBeforeSeconds: nowSeconds,
    notAfterSeconds: nowSeconds + 600n,
  });
  return { signed: signGrant(payload, signingKey), grantId: payload.grantId };
}

test('two devices attach, open a session and exchange packets over TLS on one port, until the pair is revoked', async () => {
  const { controlPlane, port } = await startRelay();
  const [a, b] = [new Device('a', port), new Device('b', port)];
  await Promise.all([a.attach(), b.attach()]);
  const pair = grantFor(a, b);
  await Promise.all([a.open(pair.signed), b.open(pair.signed)]);
  const [overA, overB] = await Promise.all([a.connectDerp(), b.connectDerp()]);
  overA.client.send(b.wireGuardKey.publicKey, Buffer.from('to b'));
  await eventually(() => expect(overB.packets).toEqual(['to b']));
  overB.client.send(a.wireGuardKey.publicKey, Buffer.from('to a'));
  await eventually(() => expect(overA.packets).toEqual(['to a']));

  await eventually(() => expect(controlPlane.followed).toContain(pair.grantId));
  controlPlane.revoke(pair.grantId);
  await eventually(() => expect(a.heard.at(-1)?.$case).toBe('sessionEnded'));
  overA.client.send(b.wireGuardKey.publicKey, Buffer.from('after the end'));
  await overA.client.ping();
  await overB.client.ping();
  expect(overB.packets).toEqual(['to b']);
});

test('a device that is not attached cannot use the TLS lane, and one that leaves loses it', async () => {
  const { port } = await startRelay();
  const stranger = new Device('stranger', port);
  await expect(stranger.connectDerp()).rejects.toThrow('no device with this key may connect');
  const a = new Device('a', port);
  await a.attach();
  const { client } = await a.connectDerp();
  a.say({ $case: 'attachment', value: {} });
  await client.closed;
});

test('its heartbeat names its public address and what it can take', async () => {
  const { heartbeats, module, port } = await startRelay();
  expect(heartbeats[0]).toMatchObject({
    relayId: 'relay-1',
    region: 'here',
    url: `https://127.0.0.1:${port}`,
    draining: false,
    stunAddresses: [expect.stringMatching(/^127\.0\.0\.1:\d+$/)],
  });
  expect(heartbeats[0]?.freeSessions).toBeGreaterThan(0n);
  await module.checkReady();
  expect(module.internalCallers).toEqual({
    [`/${RelayServiceDefinition.fullName}/*`]: ['apiserver'],
  });
});

test('what is no upgrade gets an answer that says nothing of the relay', async () => {
  const { port } = await startRelay();
  const socket = connect({ host: '127.0.0.1', port, ca: ca.certificatePem });
  await once(socket, 'secureConnect');
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const [answer] = await once(socket, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1\.1 404 /);
  socket.destroy();
});

test('one address has so many connections, and gets another when one ends', async () => {
  const { port } = await startRelay({ connections_per_source: 1 });
  const opened = async (): Promise<TLSSocket> => {
    const socket = connect({ host: '127.0.0.1', port, ca: ca.certificatePem });
    stack.defer(() => void socket.destroy());
    await once(socket, 'secureConnect');
    return socket;
  };
  const first = await opened();
  await expect(opened()).rejects.toThrow(/ECONNRESET|disconnected|closed/);
  first.destroy();
  await eventually(async () => {
    const again = await opened();
    expect(again.authorized).toBe(true);
  });
});

test('it stops though clients hold connections open that say nothing', async () => {
  const { port } = await startRelay();
  for (const ALPNProtocols of [['http/1.1'], ['h2']]) {
    const socket = connect({ host: '127.0.0.1', port, ca: ca.certificatePem, ALPNProtocols });
    socket.on('error', () => socket.destroy());
    await once(socket, 'secureConnect');
  }
  const a = new Device('a', port);
  await a.attach();
  const startedAt = performance.now();
  await stack.disposeAsync();
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});
