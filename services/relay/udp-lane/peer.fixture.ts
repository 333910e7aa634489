/**
 * UDP sockets in a process of their own, for a virtual host: lines of JSON in, lines out. It sends what it is told to and
 * tells what arrives.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What the test says. */
export type PeerCommand =
  | { readonly do: 'bind'; readonly name: string; readonly address: string; readonly port: number }
  | {
      readonly do: 'send';
      readonly from: string;
      readonly to: { readonly address: string; readonly port: number };
      readonly hex: string;
      readonly times?: number;
    };

/** What the peer says. */
export type PeerSays =
  | {
      readonly says: 'bound';
      readonly name: string;
      readonly address: string;
      readonly port: number;
    }
  | {
      readonly says: 'received';
      readonly name: string;
      readonly hex: string;
      readonly from: { readonly address: string; readonly port: number };
    };

const say = (said: PeerSays): void => void process.stdout.write(`${JSON.stringify(said)}\n`);
const sockets = new Map<string, Socket>();

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as PeerCommand; // the test wrote it
  if (command.do === 'bind') {
    const { name, address, port } = command;
    const bound = sockets.get(name);
    if (bound !== undefined) {
      say({ says: 'bound', name, address, port: bound.address().port });
      continue;
    }
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.on('message', (message, from) => {
      const hex = message.toString('hex');
      say({ says: 'received', name, hex, from: { address: from.address, port: from.port } });
    });
    socket.bind(port, address);
    await once(socket, 'listening');
    sockets.set(name, socket);
    say({ says: 'bound', name, address, port: socket.address().port });
  } else {
    const { from, to, hex, times = 1 } = command;
    const bytes = Buffer.from(hex, 'hex');
    for (let count = 0; count < times; count += 1)
      sockets.get(from)?.send(bytes, to.port, to.address);
  }
}
