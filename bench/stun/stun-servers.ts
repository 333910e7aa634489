import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where a server runs. */
export interface ServerPlace {
  /** IPv4 address. */
  readonly address: string;
  readonly port: number;
  /** For its files; removed afterwards. */
  readonly folder: string;
}

/** A server to measure. */
export interface MeasuredServer {
  readonly name: string;
  /** The command that runs it for STUN over UDP alone. */
  readonly command: (place: ServerPlace) => readonly string[];
}

const own = (adapter: 'koffi' | 'dgram'): MeasuredServer => ({
  name: `ours, ${adapter}`,
  command: ({ address, port }) => [
    process.execPath,
    fileURLToPath(new URL('./own-server.ts', import.meta.url)),
    adapter,
    address,
    String(port),
  ],
});

/** coturn's listener answers in its own thread with `-m 0`, and in the one relay thread with `-m 1`. */
const coturn = (relayThreads: 0 | 1): MeasuredServer => ({
  name: `coturn -m ${relayThreads}`,
  command: ({ address, port, folder }) => [
    'turnserver',
    '-n',
    '--stun-only',
    '--no-auth',
    '--no-tls',
    '--no-dtls',
    '--no-tcp',
    '--no-cli',
    '--log-file=stdout',
    `--pidfile=${join(folder, 'turnserver.pid')}`,
    `--userdb=${join(folder, 'turndb')}`,
    `--relay-threads=${relayThreads}`,
    `--listening-ip=${address}`,
    `--listening-port=${port}`,
  ],
});

/** Those of others, then ours: ours are compared with the best of the others. */
export const PEERS: readonly MeasuredServer[] = [coturn(0), coturn(1)];
export const OURS: readonly MeasuredServer[] = [own('koffi'), own('dgram')];
