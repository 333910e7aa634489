import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '@nexodus/clock';
import { StunHeartbeat, StunServiceDefinition } from '@nexodus/contracts/stun';
import { startParts } from '@nexodus/lifecycle';
import { createInProcessMessageBus, type MessageBus } from '@nexodus/messaging';
import { parseIpAddress } from '@nexodus/netip';
import { createRpcClient, openChannel, startRpcServer } from '@nexodus/rpc';
import {
  BINDING_METHOD,
  decodeStunMessage,
  encodeStunMessage,
  type StunMessage,
} from '@nexodus/stun-codec';
import { silentLogger } from '@nexodus/telemetry';
import { createNoopMeter } from '@opentelemetry/api';
import { afterEach, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { stunConfig } from './stun-config.ts';
import { createStunModule, type StunModule } from './stun-module.ts';

const run = promisify(execFile);
const stops: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

type Settings = z.input<typeof stunConfig>;

function build(settings: Settings, bus: MessageBus = createInProcessMessageBus()): StunModule {
  stops.push(() => bus.close());
  return createStunModule({
    config: stunConfig.parse({ listen: ['127.0.0.1:0', '[::1]:0'], ...settings }),
    bus,
    clock: systemClock,
    random: () => 0.5,
    logger: silentLogger,
    meter: createNoopMeter(),
  });
}

async function start(settings: Settings = {}, bus?: MessageBus): Promise<StunModule> {
  const module = build(settings, bus);
  const running = await startParts(module.parts);
  stops.push(() => running.stop());
  return module;
}

async function openClient(host: string): Promise<Socket> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  stops.push(() => new Promise<void>((resolve) => socket.close(resolve)));
  return socket;
}

const bindingRequest = (change: Partial<StunMessage> = {}): StunMessage => ({
  class: 'request',
  method: BINDING_METHOD,
  transactionId: Uint8Array.from(randomBytes(12)),
  attributes: [],
  hasFingerprint: true,
  ...change,
});

/** Sends each in turn and gives the one datagram that comes back. */
async function exchange(
  socket: Socket,
  server: { host: string; port: number },
  datagrams: readonly Uint8Array[],
): Promise<StunMessage> {
  const answered = once(socket, 'message');
  for (const datagram of datagrams) socket.send(datagram, server.port, server.host);
  const [reply] = (await answered) as [Buffer]; // what a socket emits with 'message'
  return decodeStunMessage(reply);
}

async function openStatistics(module: StunModule) {
  const folder = mkdtempSync(join(tmpdir(), 'nexodus-stun-'));
  const address = `unix:${join(folder, 'internal.sock')}`;
  const server = await startRpcServer({
    surface: 'internal',
    address,
    services: module.internalServices,
    authenticate: () => Promise.resolve({ service: 'apiserver' }),
  });
  const channel = openChannel({ address });
  stops.push(
    () => rmSync(folder, { recursive: true, force: true }),
    () => server.stop(),
    () => channel.close(),
  );
  return createRpcClient(StunServiceDefinition, channel);
}

describe('over real sockets', () => {
  test.each([
    ['127.0.0.1', 0],
    ['::1', 1],
  ])('a client on %s learns its own address and port', async (host, index) => {
    const { addresses } = await start();
    const socket = await openClient(host);
    const request = bindingRequest();
    const reply = await exchange(socket, addresses[index]!, [encodeStunMessage(request)]);
    expect(reply).toMatchObject({ class: 'success', transactionId: request.transactionId });
    expect(reply.attributes[0]).toEqual({
      kind: 'xor-mapped-address',
      mapped: { address: parseIpAddress(host), port: socket.address().port },
    });
  });

  test('only the request among strangers is answered, and each datagram is counted', async () => {
    const module = await start({ source_limit: { rate_per_second: 0.001, burst: 2 } });
    const socket = await openClient('127.0.0.1');
    const server = module.addresses[0]!;
    const unknown = { kind: 'other', type: 0x7f01, value: new Uint8Array(4) } as const;
    const refused = bindingRequest({ attributes: [unknown] });
    const reply = await exchange(socket, server, [
      Buffer.from('who is there?'),
      encodeStunMessage(bindingRequest({ class: 'success' })),
      encodeStunMessage(refused),
    ]);
    expect(reply).toMatchObject({ class: 'error', transactionId: refused.transactionId });
    await exchange(socket, server, [encodeStunMessage(bindingRequest())]);
    socket.send(encodeStunMessage(bindingRequest()), server.port, server.host);
    const statistics = await openStatistics(module);
    await expect
      .poll(() => statistics.getStatistics({}))
      .toEqual({ answered: 1n, refused: 1n, ignored: 2n, limited: 1n });
  });

  test.each([
    ['127.0.0.1', 0],
    ['::1', 1],
  ])('the client of coturn understands the answer on %s', async (host, index) => {
    const { addresses } = await start();
    const { stdout } = await run('turnutils_stunclient', [
      '-p',
      String(addresses[index]!.port),
      host,
    ]);
    expect(stdout).toMatch(new RegExp(`UDP reflexive addr: \\[?${host}\\]?:\\d+`));
  });
});

describe('start and stop', () => {
  test('a port that is taken is named with what to do, and no other socket stays open', async () => {
    const taken = await openClient('::1');
    const module = build({ listen: ['127.0.0.1:0', `[::1]:${taken.address().port}`] });
    await expect(startParts(module.parts)).rejects.toThrow(
      `another process listens on UDP [::1]:${taken.address().port}: set stun.listen`,
    );
    expect(module.addresses).toEqual([]);
    await expect(module.checkReady()).rejects.toThrow('not bound');
  });

  test('an address of another machine is named with what to do', async () => {
    const module = build({ listen: ['192.0.2.1:0'] });
    await expect(startParts(module.parts)).rejects.toThrow(
      'does not have the address of UDP 192.0.2.1:0: set stun.listen',
    );
  });

  test('it is ready while its sockets are bound, and leaves none behind', async () => {
    const module = build({});
    await expect(module.checkReady()).rejects.toThrow('not bound');
    const running = await startParts(module.parts);
    await module.checkReady();
    const [first] = module.addresses;
    await running.stop();
    await expect(module.checkReady()).rejects.toThrow('not bound');
    const again = await start({ listen: [`127.0.0.1:${first?.port}`] });
    expect(again.addresses).toEqual([first]);
  });
});

describe('heartbeats', () => {
  async function firstHeartbeat(settings: Settings) {
    const bus = createInProcessMessageBus();
    const arrived = Promise.withResolvers<StunHeartbeat>();
    bus.subscribe('nexodus.stun.heartbeat', ({ data }) =>
      arrived.resolve(StunHeartbeat.decode(data)),
    );
    const module = await start(settings, bus);
    return { module, heartbeat: await arrived.promise };
  }

  test('name the bound addresses where no public ones are set', async () => {
    const { module, heartbeat } = await firstHeartbeat({ region: 'here' });
    const [four, six] = module.addresses;
    expect(heartbeat).toMatchObject({ region: 'here' });
    expect(heartbeat.instanceId).toMatch(/^[0-9a-f-]{36}$/);
    expect(heartbeat.addresses).toEqual([`127.0.0.1:${four?.port}`, `[::1]:${six?.port}`]);
  });

  test('name the public addresses, and never a wildcard', async () => {
    const listen = ['0.0.0.0:0'];
    const told = await firstHeartbeat({ listen, public_addresses: ['[2001:db8::1]:3478'] });
    expect(told.heartbeat.addresses).toEqual(['[2001:db8::1]:3478']);
    expect((await firstHeartbeat({ listen })).heartbeat.addresses).toEqual([]);
  });
});
