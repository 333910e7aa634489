import type { HostProcess, VirtualHost } from '@nexodus/netsim';

/** One UDP socket on a host, driven from here. The characters of texts are bytes (ISO 8859-1). */
export interface UdpSocket extends AsyncDisposable {
  readonly host: VirtualHost;
  /** Its port, on the wildcard address of one family. */
  readonly port: number;
  /** Sends one datagram. */
  send(text: string, to: Endpoint): void;
  /**
   * The first datagram with this text, past ones too: where it came from.
   *
   * @throws CommandError when there is none within 5 s.
   */
  received(text: string): Promise<Endpoint>;
  /** Texts of all datagrams so far. */
  texts(): readonly string[];
}

/** Where a datagram goes to or came from. */
export type Endpoint = { readonly address: string; readonly port: number };

const DEADLINE_MS = 5_000;
const START_DEADLINE_MS = 20_000;

/** Opens a socket; `port` 0 (the default) lets the host choose. */
export async function openUdpSocket(
  host: VirtualHost,
  options: { readonly port?: number; readonly family?: 4 | 6 } = {},
): Promise<UdpSocket> {
  const type = options.family === 6 ? 'udp6' : 'udp4';
  const process = await host.spawn('node', ['-e', PROGRAM, type, String(options.port ?? 0)]);
  const bound = await process.waitForLine(/^port (\d+)$/, { deadlineMs: START_DEADLINE_MS });
  return {
    host,
    port: Number(bound[1]),
    send: (text, to) => process.stdin.write(`${to.port} ${to.address} ${text}\n`),
    received: (text) => waitForText(process, text),
    texts: () =>
      process
        .tail(process.lineCount)
        .map((line) => /^got \S+ \d+ (.*)$/.exec(line)?.[1])
        .filter((text) => text !== undefined),
    async [Symbol.asyncDispose]() {
      await process.stop({ signal: 'SIGKILL' });
    },
  };
}

async function waitForText(process: HostProcess, text: string): Promise<Endpoint> {
  const line = new RegExp(`^got (\\S+) (\\d+) ${text}$`);
  const [, address = '', port] = await process.waitForLine(line, { deadlineMs: DEADLINE_MS });
  return { address, port: Number(port) };
}

/** Prints its port and each datagram; sends what its standard input says: "port address text". */
const PROGRAM = `
const [type, port] = process.argv.slice(1);
const socket = require('node:dgram').createSocket(type);
socket.on('message', (text, from) => console.log('got ' + from.address + ' ' + from.port + ' ' + text.toString('latin1')));
socket.bind(Number(port), () => console.log('port ' + socket.address().port));
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const [port, address, ...text] = line.split(' ');
  socket.send(Buffer.from(text.join(' '), 'latin1'), Number(port), address, () => {});
});
`;
