import { randomInt } from 'node:crypto';
import { CommandError } from './command.ts';
import type { VirtualHost } from './virtual-host.ts';

/** Who sends to whom, and how. */
export type Iperf3Options = {
  /** The receiving host. */
  readonly server: VirtualHost;
  /** The sending host. */
  readonly client: VirtualHost;
  /** The server's address as the client is to reach it, IPv4 or IPv6. */
  readonly address: string;
  /** Length of the measurement. Default 2. */
  readonly seconds?: number;
  /** Sends UDP at this rate instead of TCP as fast as it goes. */
  readonly udpBitsPerSecond?: number;
};

/** What arrived. */
export type Iperf3Result = {
  /** Payload bits per second at the receiver. */
  readonly bitsPerSecond: number;
  /** TCP segments sent again; 0 for UDP. */
  readonly retransmits: number;
  /** Share of datagrams lost, 0 to 1; 0 for TCP. */
  readonly lossRatio: number;
};

/** The server's port is drawn from here; a collision inside one host fails the run. */
const PORTS = { from: 20_000, to: 30_000 };

type Iperf3Report = {
  readonly error?: string;
  readonly end?: {
    readonly sum_received?: { readonly bits_per_second: number };
    readonly sum_sent?: { readonly retransmits?: number };
    readonly sum?: { readonly bits_per_second: number; readonly lost_percent?: number };
  };
};

/**
 * Measures throughput between two hosts.
 *
 * @throws CommandError when iperf3 fails, with its own words.
 */
export async function iperf3(options: Iperf3Options): Promise<Iperf3Result> {
  const seconds = options.seconds ?? 2;
  const port = String(randomInt(PORTS.from, PORTS.to));
  await using server = await options.server.spawn('iperf3', [
    '-s',
    '-1',
    '--forceflush',
    '-p',
    port,
  ]);
  await server.waitForLine(/^Server listening/, { deadlineMs: 10_000 });
  const udp =
    options.udpBitsPerSecond === undefined ? [] : ['-u', '-b', String(options.udpBitsPerSecond)];
  const args = ['-J', '-c', options.address, '-p', port, '-t', String(seconds), ...udp];
  const { stdout } = await options.client.exec('iperf3', args, {
    timeoutMs: seconds * 1_000 + 20_000,
  });
  return readReport(stdout, options.udpBitsPerSecond !== undefined);
}

function readReport(json: string, isUdp: boolean): Iperf3Result {
  const report = JSON.parse(json) as Iperf3Report; // iperf3's own output
  const { sum, sum_received: received, sum_sent: sent } = report.end ?? {};
  const bitsPerSecond = isUdp ? sum?.bits_per_second : received?.bits_per_second;
  if (report.error !== undefined || bitsPerSecond === undefined) {
    throw new CommandError(`iperf3: ${report.error ?? 'its report has no result'}`);
  }
  const lossRatio = isUdp ? (sum?.lost_percent ?? 0) / 100 : 0;
  return {
    bitsPerSecond: bitsPerSecond * (1 - lossRatio),
    retransmits: sent?.retransmits ?? 0,
    lossRatio,
  };
}
