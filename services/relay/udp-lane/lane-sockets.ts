import { isIPv6 } from 'node:net';
import type { UdpLoop, UdpOpenResult } from '@nexodus/udp-batch';
import type { PortPair } from '../core/port-pool.ts';
import type { SideSockets } from './lane-session.ts';

/** Bytes that may wait in a socket: about 100 ms of 300 Mbit/s. The system may give less. */
const BUFFER_BYTES = 4_194_304;

/** Opens the sockets of a session, all or none. `done` is called once, after the call has returned. */
export function openLaneSockets(
  loop: UdpLoop,
  { addresses, ports }: { readonly addresses: readonly string[]; readonly ports: PortPair },
  done: (sockets: readonly [SideSockets, SideSockets] | undefined) => void,
): void {
  const wanted = ports.flatMap((port) => addresses.map((address) => ({ address, port })));
  const results: (UdpOpenResult | undefined)[] = wanted.map(() => undefined);
  let pending = wanted.length;
  const handleOf = (port: number, isWanted: (address: string) => boolean): number | undefined => {
    const position = wanted.findIndex((one) => one.port === port && isWanted(one.address));
    const result = results[position];
    return result !== undefined && 'socket' in result ? result.socket : undefined;
  };
  const finish = (): void => {
    if (results.every((result) => result !== undefined && 'socket' in result)) {
      const side = (port: number): SideSockets => ({
        ipv4: handleOf(port, (address) => !isIPv6(address)),
        ipv6: handleOf(port, isIPv6),
      });
      done([side(ports[0]), side(ports[1])]);
      return;
    }
    for (const result of results) if (result && 'socket' in result) loop.close(result.socket);
    done(undefined);
  };
  for (const [index, one] of wanted.entries()) {
    const options = { ...one, receiveBufferBytes: BUFFER_BYTES, sendBufferBytes: BUFFER_BYTES };
    loop.open(options, (result) => {
      results[index] = result;
      pending -= 1;
      if (pending === 0) finish();
    });
  }
}

/** Handles of all sockets of a session. */
export function handlesOf(sides: readonly SideSockets[]): number[] {
  return sides.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6].filter((one) => one !== undefined));
}
