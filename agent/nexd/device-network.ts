/** The network of a device at work: what the daemon tells `NetworkSelf`, and takes from it. */
import type { ReachabilityMap } from '@nexodus/contracts/agent';
import type { CheckNetworkResponse } from '@nexodus/contracts/nexd';
import type { Endpoint } from '@nexodus/contracts/type';
import { failedPrecondition } from '@nexodus/rpc';
import { DataplaneError } from '../dataplane/index.ts';
import { guessVpcPrefixes, type NetworkSelf, ownEndpoints } from '../netcheck/index.ts';
import type { RelayAccess, RelayPaths } from '../relay/index.ts';
import { describeNetwork } from './describe-network.ts';
import type { MachineReport } from './device-machine.ts';

/** What of the relays counts here. */
export type RelaysOfNetwork = Pick<RelayPaths, 'isPortShared' | 'relays' | 'whereabouts'>;

/** From its making to `close`. */
export class DeviceNetwork {
  readonly #self: NetworkSelf;
  readonly #access: RelayAccess;

  constructor(self: NetworkSelf, access: RelayAccess) {
    this.#self = self;
    this.#access = access;
  }

  /** The service's newest map. */
  tellMap(map: ReachabilityMap): void {
    this.#self.tellMap(map);
  }

  /** What is in force on the machine now. */
  tellMachine({ model, tunnel }: MachineReport, relays: RelaysOfNetwork | undefined): void {
    const peers = tunnel?.peers ?? [];
    this.#self.tellTunnel({
      tunnelPort: tunnel?.listenPort ?? 0,
      isPortShared: relays?.isPortShared ?? false,
      bytes: peers.reduce((sum, { rxBytes, txBytes }) => sum + rxBytes + txBytes, 0),
      vpcPrefixes: guessVpcPrefixes(model.intent.addresses),
    });
  }

  /** Something of the machine's network may be different. */
  look(): void {
    void this.#self.look();
  }

  /**
   * Where peers are told to send: the machine's own addresses, those before the first look. Outside addresses are not among
   * them: a peer tries what it is told for 15 s, and without proof that would put off a routed address that works.
   */
  endpointsOf({ endpoints, tunnel }: MachineReport): readonly Endpoint[] {
    const { picture } = this.#self;
    if (picture === undefined) return endpoints;
    const tunnelPort = tunnel?.listenPort ?? 0;
    return ownEndpoints({ own: picture.own.usable, mapped: [], tunnelPort });
  }

  /**
   * Looks anew at everything.
   *
   * @throws {RpcError} FAILED_PRECONDITION where the machine's network cannot be read
   */
  async check(relays: RelaysOfNetwork | undefined): Promise<CheckNetworkResponse> {
    try {
      const report = await this.#self.check({
        relays: relays?.relays ?? [],
        homeRelayId: relays?.whereabouts.homeRelayId ?? '',
        access: this.#access,
      });
      return describeNetwork(report);
    } catch (error) {
      if (!(error instanceof DataplaneError)) throw error;
      throw failedPrecondition('NETWORK_UNREADABLE', `${error.message} ${error.remedy}`);
    }
  }

  /** Idempotent. */
  close(): void {
    this.#self.close();
  }
}
