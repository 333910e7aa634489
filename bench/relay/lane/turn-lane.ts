import { join } from 'node:path';
import type { HostProcess } from '@nexodus/netsim';
import { WIREGUARD_PORT } from '../bench-network.ts';
import type { ChannelPlan } from '../program/channel-end-thread.ts';
import type { ChannelEndCalls } from '../program/channel-end.ts';
import type { Endpoint } from '../program/endpoint.ts';
import { type RunningProgram, startProgram } from '../program/running-program.ts';
import type { LaneOptions, RelayLane, RunningLane, StreamEnds, StreamWay } from './relay-lane.ts';

/** The port that TURN has by default (RFC 8656 section 4). */
const TURN_PORT = 3_478;
const START_DEADLINE_MS = 20_000;

/**
 * A TURN server with one thread for datagrams, without authentication. Alpha is its client, with a channel, which costs
 * the least bytes; beta is the peer and sends to the relayed address.
 */
export const turnLane: RelayLane = {
  name: 'coturn',
  description: 'TURN server, ChannelData, one thread',
  start: async (options) => {
    const { relay, relayAddress, folder } = options.network;
    const listen = ['-L', relayAddress, '-E', relayAddress, '-p', String(TURN_PORT), '-r', 'bench'];
    const only = ['-n', '-z', '-m', '1', '--no-tls', '--no-dtls', '--no-cli'];
    const log = ['--log-file', 'stdout', '--simple-log', '--pidfile', '/run/turnserver.pid'];
    const files = ['--userdb', join(folder, 'turndb')];
    const server = await relay.spawn('turnserver', [...only, ...listen, ...log, ...files]);
    // It says no more; clients ask again until it answers.
    await server.waitForLine(/Total General servers/, { deadlineMs: START_DEADLINE_MS });
    return new RunningTurnLane(server, options);
  },
};

class RunningTurnLane implements RunningLane {
  readonly #server: HostProcess;
  readonly #options: LaneOptions;
  #end: RunningProgram<ChannelEndCalls> | undefined;

  constructor(server: HostProcess, options: LaneOptions) {
    this.#server = server;
    this.#options = options;
  }

  get relayPid(): number {
    return this.#server.pid;
  }

  get endPids(): readonly number[] {
    return this.#end === undefined ? [] : [this.#end.pid];
  }

  async openTunnel(): Promise<readonly [Endpoint, Endpoint]> {
    const { nodeArguments, network } = this.#options;
    const { alpha, beta } = network;
    const config: ChannelPlan = {
      wireGuard: { address: '127.0.0.1', port: WIREGUARD_PORT },
      server: this.#place(),
      peer: { address: beta.host.ipv4, port: WIREGUARD_PORT },
    };
    const { host } = alpha;
    const file = './channel-end.ts';
    this.#end = await startProgram<ChannelEndCalls>({ host, file, config, nodeArguments });
    const { port, relayed } = await this.#end.call('open');
    return [{ address: '127.0.0.1', port }, relayed];
  }

  async openStream({ sender, sinkPort }: StreamEnds): Promise<StreamWay> {
    const { beta } = this.#options.network;
    const peer = { address: beta.host.ipv4, port: sinkPort };
    await sender.call('open', { relay: this.#place(), plan: { kind: 'allocation', peer } });
    return { to: this.#place(), inChannel: true };
  }

  async stop(): Promise<void> {
    await this.#end?.stop();
    await this.#server.stop();
  }

  #place(): Endpoint {
    return { address: this.#options.network.relayAddress, port: TURN_PORT };
  }
}
