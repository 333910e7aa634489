/** Sockets in memory behind which every STUN server answers at once, as which the test says. */
import { parseIpAddress } from '@nexodus/netip';
import { decodeStunMessage, encodeStunMessage, type StunMessage } from '@nexodus/stun-codec';
import type { DatagramPlace, PortSocket } from '../relay/port-socket.ts';

/** The sockets, and the hand of the test. */
export interface FakeSocket extends PortSocket {
  /** Where requests went, oldest first. */
  readonly asked: string[];
  /** As which servers see the sender; undefined: they are silent. */
  mapped: DatagramPlace | undefined;
  /** Brings a datagram. */
  bring(datagram: Uint8Array, from: DatagramPlace): void;
}

/** Makes them. */
export function createFakeSocket(mapped?: DatagramPlace): FakeSocket {
  const listeners = new Set<(datagram: Uint8Array, from: DatagramPlace) => void>();
  const socket: FakeSocket = {
    ports: { ipv4: 40_000, ipv6: 40_001 },
    asked: [],
    mapped,
    bring: (datagram, from) => {
      for (const listener of listeners) listener(datagram, from);
    },
    send: (datagram, to) => {
      socket.asked.push(to.address);
      const request = decodeStunMessage(datagram);
      if (socket.mapped === undefined) return;
      const answer = encodeStunMessage(success(request, socket.mapped));
      queueMicrotask(() => socket.bring(answer, to));
    },
    listen: (onDatagram) => {
      listeners.add(onDatagram);
      return () => void listeners.delete(onDatagram);
    },
    close: () => listeners.clear(),
  };
  return socket;
}

/** The answer to a request. */
export function success(
  { method, transactionId }: Pick<StunMessage, 'method' | 'transactionId'>,
  { address, port }: DatagramPlace,
): StunMessage {
  const mapped = { address: parseIpAddress(address), port };
  return {
    class: 'success',
    method,
    transactionId,
    attributes: [{ kind: 'xor-mapped-address', mapped }],
    hasFingerprint: true,
  };
}
