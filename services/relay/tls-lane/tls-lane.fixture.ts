import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import { createCertificateAuthority, issueServerCertificate } from '@nexodus/certificates';
import { systemClock } from '@nexodus/clock';
import {
  channelBindingOf,
  openDerpClient,
  requestDerpUpgrade,
  type DerpClient,
  type DerpClientHandlers,
} from '@nexodus/derp/connection';
import { createPlainPeer, logInAsClient, type PlainPeer } from '@nexodus/derp/testing';
import { silentLogger } from '@nexodus/telemetry';
import { type WireGuardPrivateKey, formatX25519PublicKey } from '@nexodus/wireguard';
import { createNoopMeter } from '@opentelemetry/api';
import { defaultTlsLaneLimits, type TlsLaneLimits } from './tls-lane-limits.ts';
import { createTlsLaneMetrics } from './tls-lane-metrics.ts';
import { createTlsLane, type TlsLane, type TlsLaneOptions } from './tls-lane.ts';

/** What a test changes of a lane. */
export interface LaneChanges extends Partial<Omit<TlsLaneOptions, 'limits'>> {
  readonly limits?: Partial<TlsLaneLimits>;
}

/** A lane behind a real HTTPS server. */
export interface RunningLane {
  readonly lane: TlsLane;
  readonly port: number;
  readonly ca: string;
  stop(): Promise<void>;
}

/** One of our clients, and what it heard. */
export interface JoinedClient {
  readonly client: DerpClient;
  readonly socket: TLSSocket;
  readonly packets: { from: string; text: string }[];
  readonly gone: { peer: string; reason: string }[];
  readonly problems: string[];
  readonly restarts: { reconnectInMs: number; tryForMs: number }[];
}

/** Starts an HTTPS server that hands its upgrades to a lane which, unless changed, lets everybody do everything. */
export async function startLane(changes: LaneChanges = {}): Promise<RunningLane> {
  const now = new Date();
  const ca = await createCertificateAuthority({ commonName: 'Test CA', now, years: 1 });
  const names = { dnsNames: ['relay.example'], ipAddresses: ['127.0.0.1'] };
  const { certificatePem, key } = await issueServerCertificate({ ca, ...names, now, days: 1 });
  const lane = createTlsLane({
    admits: () => true,
    mayForward: () => true,
    carry: () => 'carried',
    clock: systemClock,
    random: () => 0.5,
    metrics: createTlsLaneMetrics(createNoopMeter()),
    logger: silentLogger,
    ...changes,
    limits: { ...defaultTlsLaneLimits, ...changes.limits },
  });
  const server = createServer({ cert: certificatePem, key: key.exportPem() });
  server.on('upgrade', (request, socket, head) => lane.handleUpgrade(request, socket, head));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    lane,
    port: address.port,
    ca: ca.certificatePem,
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await lane.drain({ spreadMs: 0, tryForMs: 0, graceMs: 0 });
      await closed;
    },
  };
}

/** A TLS connection to the lane that checks its certificate. */
export async function connectTls(at: { port: number; ca: string }): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: at.port, ca: at.ca });
  await once(socket, 'secureConnect');
  return socket;
}

/** Connects one of our clients. */
export async function join(
  at: { port: number; ca: string },
  privateKey: WireGuardPrivateKey,
  handlers: Partial<DerpClientHandlers> = {},
): Promise<JoinedClient> {
  const socket = await connectTls(at);
  const head = await requestDerpUpgrade(socket, { host: 'relay.example' });
  const heard = { packets: [], gone: [], problems: [], restarts: [] } as Omit<
    JoinedClient,
    'client' | 'socket'
  >; // arrays of what JoinedClient says
  const client = await openDerpClient({
    stream: socket,
    head,
    privateKey,
    channelBinding: channelBindingOf(socket),
    clock: systemClock,
    random: randomBytes,
    onPacket: (source, packet) => {
      const text = Buffer.from(packet).toString();
      heard.packets.push({ from: formatX25519PublicKey(source), text });
    },
    onPeerGone: (peer, reason) => heard.gone.push({ peer: formatX25519PublicKey(peer), reason }),
    onHealth: (problem) => heard.problems.push(problem),
    onRestarting: (advice) => heard.restarts.push(advice),
    ...handlers,
  });
  return { client, socket, ...heard };
}

/** Sends an HTTP request as text and gives the head of the answer and the rest. */
export async function ask(
  socket: TLSSocket,
  lines: readonly string[],
): Promise<{ answer: string; rest: Buffer }> {
  socket.write([...lines, '', ''].join('\r\n'));
  let held = Buffer.alloc(0);
  while (!held.includes('\r\n\r\n')) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]; // what a socket emits
    held = Buffer.concat([held, chunk]);
  }
  socket.pause();
  const end = held.indexOf('\r\n\r\n');
  return { answer: held.subarray(0, end).toString(), rest: held.subarray(end + 4) };
}

/** The request of a client that shares no code with ours. */
export const PLAIN_REQUEST = [
  'GET /derp HTTP/1.1',
  'Host: relay.example',
  'Upgrade: DERP',
  'Connection: Upgrade',
];

/** Connects a client that shares no code with ours, up to the HTTP answer. */
export async function openPlain(at: { port: number; ca: string }): Promise<PlainPeer> {
  const socket = await connectTls(at);
  socket.on('error', () => socket.destroy());
  const { answer, rest } = await ask(socket, PLAIN_REQUEST);
  if (!answer.startsWith('HTTP/1.1 101 ')) throw new Error(answer);
  return createPlainPeer(socket, rest);
}

/** Connects a client that shares no code with ours. */
export async function joinPlain(
  at: { port: number; ca: string },
  privateKey: WireGuardPrivateKey,
  info?: object,
): Promise<PlainPeer> {
  const peer = await openPlain(at);
  await logInAsClient(peer, privateKey.exportBytes(), info);
  return peer;
}
