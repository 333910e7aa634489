import type { WireGuardPublicKey } from '@nexodus/wireguard';

/** What went from one device to another since it was last asked for. */
export interface PairTraffic {
  readonly from: WireGuardPublicKey;
  readonly to: WireGuardPublicKey;
  readonly packets: number;
  /** Bytes of the datagrams, without frames and TLS. */
  readonly bytes: number;
}

interface Direction {
  readonly from: WireGuardPublicKey;
  readonly to: WireGuardPublicKey;
  packets: number;
  bytes: number;
}

/**
 * Counts what was forwarded, by direction of a pair. It holds only pairs that were allowed to talk since the figures were
 * last taken, so it is bounded by the sessions that there were.
 */
export class PairTrafficTable {
  #directions = new Map<string, Map<string, Direction>>();

  /** Counts packets. The texts are those of the keys. */
  count(
    pair: {
      readonly from: WireGuardPublicKey;
      readonly fromText: string;
      readonly to: WireGuardPublicKey;
      readonly toText: string;
    },
    run: { readonly packets: number; readonly bytes: number },
  ): void {
    let destinations = this.#directions.get(pair.fromText);
    if (destinations === undefined) {
      destinations = new Map();
      this.#directions.set(pair.fromText, destinations);
    }
    let direction = destinations.get(pair.toText);
    if (direction === undefined) {
      direction = { from: pair.from, to: pair.to, packets: 0, bytes: 0 };
      destinations.set(pair.toText, direction);
    }
    direction.packets += run.packets;
    direction.bytes += run.bytes;
  }

  /** Gives what was counted and begins anew. */
  take(): readonly PairTraffic[] {
    const directions = [...this.#directions.values()].flatMap((one) => [...one.values()]);
    this.#directions = new Map();
    return directions;
  }
}
