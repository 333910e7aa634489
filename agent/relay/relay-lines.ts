import type { SignedGrant } from '@nexodus/contracts/relay';
import type { KnownRelay } from './core/relay-directory.ts';
import { RelayLine, type RelayLineFrame, type RelayLineListener } from './relay-line.ts';

/** A relay that failed is left out of choices for so long. */
const AVOID_MS = 15_000;

/** The lines to all relays in use. */
export class RelayLines {
  readonly #frame: RelayLineFrame;
  readonly #listener: RelayLineListener;
  readonly #lines = new Map<string, RelayLine>();
  readonly #avoidUntilMs = new Map<string, number>();

  constructor(frame: RelayLineFrame, listener: RelayLineListener) {
    this.#frame = frame;
    this.#listener = listener;
  }

  /** The line to a relay; undefined where there is none. */
  get(relayId: string): RelayLine | undefined {
    return this.#lines.get(relayId);
  }

  /** Relays for new meetings; where none is left, all that are known: one of them may be back. */
  usable(known: ReadonlyMap<string, KnownRelay>, nowMs: number): ReadonlySet<string> {
    for (const [relayId, { state }] of this.#lines) {
      if (state === 'down') this.#avoidUntilMs.set(relayId, nowMs + AVOID_MS);
      else if (state === 'attached') this.#avoidUntilMs.delete(relayId);
    }
    const usable = [...known.values()].filter(
      ({ isOpen, relayId }) =>
        isOpen &&
        this.#lines.get(relayId)?.isDraining !== true &&
        nowMs >= (this.#avoidUntilMs.get(relayId) ?? -Infinity),
    );
    return new Set(usable.length > 0 ? usable.map(({ relayId }) => relayId) : known.keys());
  }

  /** Has lines to exactly these relays, each with sessions of exactly these pairs, by the peer's device id. */
  want(
    wanted: ReadonlyMap<string, ReadonlyMap<string, SignedGrant>>,
    known: ReadonlyMap<string, KnownRelay>,
  ): void {
    for (const [relayId, line] of this.#lines) {
      const isMoved = known.get(relayId)?.origin !== line.relay.origin;
      if (wanted.has(relayId) && !(isMoved && line.state !== 'attached')) continue;
      line.close({ keepsSessions: false });
      this.#lines.delete(relayId);
    }
    for (const [relayId, sessions] of wanted) {
      const relay = known.get(relayId);
      const line =
        this.#lines.get(relayId) ?? (relay && new RelayLine(relay, this.#frame, this.#listener));
      if (line === undefined) continue;
      this.#lines.set(relayId, line);
      line.want(sessions);
    }
  }

  /** Takes a datagram that came from an address. */
  receive(from: string, datagram: Uint8Array): void {
    for (const line of this.#lines.values()) if (line.receive(from, datagram)) return;
  }

  /** There is a newer pass. */
  showPass(): void {
    for (const line of this.#lines.values()) line.showPass();
  }

  /** The network changed: nothing that was learnt of it holds. */
  hurry(): void {
    this.#avoidUntilMs.clear();
    for (const line of this.#lines.values()) line.hurry();
  }

  /** Tries the UDP lane again where it had been given up. */
  retryUdp(): void {
    for (const line of this.#lines.values()) line.retryUdp();
  }

  /** Ends all lines; what relays carry goes on without this process. */
  close(): void {
    for (const line of this.#lines.values()) line.close({ keepsSessions: true });
    this.#lines.clear();
  }
}
