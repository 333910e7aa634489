/** A device's end of the TLS lane: a loopback socket for WireGuard's packets to one peer, and a DERP client. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { systemClock } from '@nexodus/clock';
import { channelBindingOf, openDerpClient, requestDerpUpgrade } from '@nexodus/derp/connection';
import { startUdpWorker, type UdpWorker } from '@nexodus/udp-batch';
import { parseWireGuardPublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { answerCalls, programConfig } from './answer-calls.ts';
import type { Endpoint } from './endpoint.ts';
import type { Datagrams, FromLoopback, LoopbackPlan } from './loopback-thread.ts';

/** Where and who it is. Keys in base64. */
export interface TlsEndConfig {
  readonly relay: Endpoint & { readonly ca: string };
  readonly privateKey: string;
  readonly peer: string;
  readonly wireGuard: Endpoint;
}

const config = programConfig<TlsEndConfig>();
const peer = parseWireGuardPublicKey(config.peer);
const port = Promise.withResolvers<number>();
let fromPeer: Uint8Array[] = [];

const socket = connect({
  host: config.relay.address,
  port: config.relay.port,
  ca: config.relay.ca,
  ALPNProtocols: ['http/1.1'],
});
await once(socket, 'secureConnect');
socket.setNoDelay(true);
const client = await openDerpClient({
  stream: socket,
  head: await requestDerpUpgrade(socket, { host: config.relay.address }),
  privateKey: WireGuardPrivateKey.fromBytes(
    new Uint8Array(Buffer.from(config.privateKey, 'base64')),
  ),
  channelBinding: channelBindingOf(socket),
  clock: systemClock,
  random: randomBytes,
  onPacket: (_source, packet) => {
    if (fromPeer.length === 0) setImmediate(handOver);
    fromPeer.push(packet);
  },
});
const loopback: UdpWorker = await startUdpWorker({
  entry: new URL('./loopback-thread.ts', import.meta.url),
  adapter: 'koffi',
  loop: { receiveOffload: true },
  data: { wireGuard: config.wireGuard } satisfies LoopbackPlan,
  onMessage: (message) => take(message as FromLoopback), // loopback-thread.ts posted it
  onFailure: (error) => {
    throw error;
  },
});

function take(message: FromLoopback): void {
  if ('port' in message) {
    port.resolve(message.port);
    return;
  }
  let offset = 0;
  for (const length of message.lengths) {
    client.send(peer, message.bytes.subarray(offset, offset + length));
    offset += length;
  }
}

/** Everything that was read in one turn goes to the socket together. */
function handOver(): void {
  const packets = fromPeer;
  fromPeer = [];
  const lengths = Uint32Array.from(packets, ({ length }) => length);
  loopback.post({ bytes: Buffer.concat(packets), lengths } satisfies Datagrams);
}

const calls = {
  /** Port of the loopback socket. */
  port: (): Promise<number> => port.promise,
  /** Packets that the line was too slow for. */
  dropped: (): number => client.droppedPackets,
};

/** What an end can be asked. */
export type TlsEndCalls = typeof calls;

await answerCalls(calls, async () => {
  client.close();
  await loopback.stop();
});
