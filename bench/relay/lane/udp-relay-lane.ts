import { join } from 'node:path';
import { RelayRegistrationKey } from '@nexodus/relay-registration';
import { formatX25519PublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { type Endpoint, parseEndpoint } from '../program/endpoint.ts';
import type { OpeningPlan } from '../program/opening.ts';
import { type RunningProgram, startProgram } from '../program/running-program.ts';
import type { LaneDevice, UdpLaneCalls, UdpLaneConfig } from '../program/udp-lane.ts';
import type { RelayLane, RunningLane, StreamEnds, StreamWay } from './relay-lane.ts';

type Technology = 'nft' | 'koffi' | 'dgram';

const DESCRIPTIONS: Readonly<Record<Technology, string>> = {
  nft: 'our UDP lane, data by nftables',
  koffi: 'our UDP lane, batched sockets with GRO/GSO',
  dgram: "our UDP lane, Node's sockets",
};

/** Our relay's UDP lane, by one of its technologies. */
export function udpRelayLane(technology: Technology): RelayLane {
  return {
    name: technology,
    description: DESCRIPTIONS[technology],
    start: async ({ network, nodeArguments }) => {
      const config: UdpLaneConfig = {
        addresses: [network.relayAddress],
        ports: { first: 20_000, last: 20_199 },
        adapter: technology === 'dgram' ? 'dgram' : 'koffi',
        ...(technology === 'nft' && {
          offload: {
            interfaces: network.relayInterfaces,
            stateFile: join(network.folder, 'forwarding.json'),
          },
        }),
      };
      const program = await startProgram<UdpLaneCalls>({
        host: network.relay,
        file: './udp-lane.ts',
        config,
        nodeArguments,
      });
      const actual = await program.call('technology');
      if (actual !== technology) throw new Error(`the lane works by ${actual} here`);
      return new RunningUdpLane(program, {
        keys: [network.alpha.privateKey, network.beta.privateKey],
        isOffloaded: technology === 'nft',
      });
    },
  };
}

class RunningUdpLane implements RunningLane {
  readonly endPids = [];
  readonly #program: RunningProgram<UdpLaneCalls>;
  readonly #keys: readonly [WireGuardPrivateKey, WireGuardPrivateKey];
  readonly #isOffloaded: boolean;
  #sessions = 0;

  constructor(
    program: RunningProgram<UdpLaneCalls>,
    tunnel: {
      readonly keys: readonly [WireGuardPrivateKey, WireGuardPrivateKey];
      readonly isOffloaded: boolean;
    },
  ) {
    this.#program = program;
    this.#keys = tunnel.keys;
    this.#isOffloaded = tunnel.isOffloaded;
  }

  get relayPid(): number {
    return this.#program.pid;
  }

  async openTunnel(): Promise<readonly [Endpoint, Endpoint]> {
    const { places } = await this.#open(this.#keys);
    return places;
  }

  async openStream({ sender, sink }: StreamEnds): Promise<StreamWay> {
    const keys = [WireGuardPrivateKey.generate(), WireGuardPrivateKey.generate()] as const;
    const { id, places, registrationKeys } = await this.#open(keys);
    const planOf = (side: 0 | 1): OpeningPlan => ({
      kind: 'registration',
      sessionId: id,
      side,
      key: registrationKeys[side],
    });
    await sender.call('open', { relay: places[0], plan: planOf(0) });
    await sink.call('open', { relay: places[1], plan: planOf(1) });
    if (this.#isOffloaded) await this.#checkOffloaded();
    return { to: places[0], inChannel: false };
  }

  stop(): Promise<void> {
    return this.#program.stop();
  }

  async #open(keys: readonly [WireGuardPrivateKey, WireGuardPrivateKey]) {
    const id = (this.#sessions += 1);
    const device = (key: WireGuardPrivateKey): LaneDevice => ({
      wireGuardKey: formatX25519PublicKey(key.publicKey),
      registrationKey: Buffer.from(RelayRegistrationKey.generate().exportBytes()).toString(
        'base64',
      ),
    });
    const devices = [device(keys[0]), device(keys[1])] as const;
    const [first, second] = await this.#program.call('open', { id, devices });
    return {
      id,
      places: [parseEndpoint(first), parseEndpoint(second)] as const,
      registrationKeys: [devices[0].registrationKey, devices[1].registrationKey] as const,
    };
  }

  async #checkOffloaded(): Promise<void> {
    const { carriedBy } = await this.#program.call('statistics');
    if (carriedBy.kernel === 0) throw new Error('the kernel does not carry the stream');
  }
}
