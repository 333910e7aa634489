/** A device's end of the TLS lane: a loopback socket for WireGuard's packets to one peer, and a DERP client. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { createPeerLinks } from '@nexodus/agent/testing';
import { systemClock } from '@nexodus/clock';
import { channelBindingOf, openDerpClient, requestDerpUpgrade } from '@nexodus/derp/connection';
import { parseWireGuardPublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { answerCalls, programConfig } from './answer-calls.ts';
import type { Endpoint } from './endpoint.ts';

/** Where and who it is. Keys in base64. */
export interface TlsEndConfig {
  readonly relay: Endpoint & { readonly ca: string };
  readonly privateKey: string;
  readonly peer: string;
  /** Port of WireGuard on loopback. */
  readonly tunnelPort: number;
}

const config = programConfig<TlsEndConfig>();
const peer = parseWireGuardPublicKey(config.peer);

/** The peer's packets, lost until the link is there. */
let deliver = (_datagram: Uint8Array): void => {};
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
  onPacket: (_source, packet) => deliver(packet),
});
const links = createPeerLinks(() => config.tunnelPort);
const link = await links.open({
  onDatagram: (datagram) => client.send(peer, datagram),
  onLost: () => {
    throw new Error('the loopback socket is gone');
  },
});
deliver = (datagram) => link.deliver(datagram);

const calls = {
  /** Port of the loopback socket. */
  port: (): number => Number(link.endpoint.slice(link.endpoint.lastIndexOf(':') + 1)),
  /** Packets that the line was too slow for. */
  dropped: (): number => client.droppedPackets,
};

/** What an end can be asked. */
export type TlsEndCalls = typeof calls;

await answerCalls(calls, async () => {
  client.close();
  await links.close();
});
