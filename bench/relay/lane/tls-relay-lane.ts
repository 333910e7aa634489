import { formatX25519PublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { type Device, WIREGUARD_PORT } from '../bench-network.ts';
import type { Endpoint } from '../program/endpoint.ts';
import { type RunningProgram, startProgram } from '../program/running-program.ts';
import type { TlsEndCalls, TlsEndConfig } from '../program/tls-end.ts';
import type { TlsLaneCalls, TlsLaneConfig } from '../program/tls-lane.ts';
import type { LaneOptions, RelayLane, RunningLane, StreamEnds, StreamWay } from './relay-lane.ts';

/** Our relay's TLS lane, with a DERP client and the agent's loopback socket on each device. */
export function tlsRelayLane(): RelayLane {
  return {
    name: 'tls',
    description: "our TLS lane, on each device a client and the agent's loopback socket",
    start: async (options) => {
      const { network, nodeArguments } = options;
      const program = await startProgram<TlsLaneCalls>({
        host: network.relay,
        file: './tls-lane.ts',
        config: { address: network.relayAddress } satisfies TlsLaneConfig,
        nodeArguments,
      });
      return new RunningTlsLane(program, options);
    },
  };
}

class RunningTlsLane implements RunningLane {
  readonly #program: RunningProgram<TlsLaneCalls>;
  readonly #options: LaneOptions;
  readonly #ends: RunningProgram<TlsEndCalls>[] = [];
  endPids: readonly number[] = [];

  constructor(program: RunningProgram<TlsLaneCalls>, options: LaneOptions) {
    this.#program = program;
    this.#options = options;
  }

  get relayPid(): number {
    return this.#program.pid;
  }

  async openTunnel(): Promise<readonly [Endpoint, Endpoint]> {
    const { alpha, beta } = this.#options.network;
    const to = [
      await this.#openEnd(alpha, { own: alpha, peer: beta, port: WIREGUARD_PORT }),
      await this.#openEnd(beta, { own: beta, peer: alpha, port: WIREGUARD_PORT }),
    ] as const;
    this.endPids = this.#ends.map(({ pid }) => pid);
    return to;
  }

  async openStream({ senderPort, sinkPort }: StreamEnds): Promise<StreamWay> {
    const { alpha, beta } = this.#options.network;
    const own = { privateKey: WireGuardPrivateKey.generate() };
    const peer = { privateKey: WireGuardPrivateKey.generate() };
    await this.#openEnd(beta, { own: peer, peer: own, port: sinkPort });
    const to = await this.#openEnd(alpha, { own, peer, port: senderPort });
    return { to, inChannel: false };
  }

  async stop(): Promise<void> {
    for (const end of this.#ends) await end.stop();
    await this.#program.stop();
  }

  /** Gives the loopback endpoint on a device behind which the peer is. */
  async #openEnd(
    { host }: Device,
    pair: {
      readonly own: Pick<Device, 'privateKey'>;
      readonly peer: Pick<Device, 'privateKey'>;
      readonly port: number;
    },
  ): Promise<Endpoint> {
    const { nodeArguments } = this.#options;
    const config: TlsEndConfig = {
      relay: await this.#program.call('place'),
      privateKey: Buffer.from(pair.own.privateKey.exportBytes()).toString('base64'),
      peer: formatX25519PublicKey(pair.peer.privateKey.publicKey),
      tunnelPort: pair.port,
    };
    const file = './tls-end.ts';
    const end = await startProgram<TlsEndCalls>({ host, file, config, nodeArguments });
    this.#ends.push(end);
    return { address: '127.0.0.1', port: await end.call('port') };
  }
}
