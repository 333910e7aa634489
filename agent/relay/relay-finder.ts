/** Which relays there are, how far they are, and which two this device stays attached to. */
import type { Clock, Timer } from '@nexodus/clock';
import type { ReachabilityMap } from '@nexodus/contracts/agent';
import type { RelayLatency } from '@nexodus/contracts/type';
import type { ProxySettings } from '../service-access/proxy-settings.ts';
import { chooseRelays, NO_CHOICE, type RelayChoice } from './core/choose-relays.ts';
import { type KnownRelay, readRelays } from './core/relay-directory.ts';
import { announceRoundTrips, type RoundTrips, smoothRoundTrips } from './core/round-trips.ts';
import { measureRelays } from './measure-relays.ts';
import type { PortSocket } from './port-socket.ts';

/** What finding needs. */
export interface RelayFinderOptions {
  readonly portSocket: PortSocket;
  readonly proxies: ProxySettings;
  readonly clock: Clock;
  readonly onChange: () => void;
}

/** Time between two rounds of measuring: networks that change say so themselves. */
const ROUND_PAUSE_MS = 60_000;

/** Finds relays until `close`. */
export class RelayFinder {
  readonly #options: RelayFinderOptions;
  readonly #abort = new AbortController();
  #known: ReadonlyMap<string, KnownRelay> = new Map();
  #roundTrips: RoundTrips = new Map();
  #announced: readonly RelayLatency[] = [];
  #choice: RelayChoice = NO_CHOICE;
  #isMeasured = false;
  #isMeasuring = false;
  #timer: Timer | undefined;

  constructor(options: RelayFinderOptions) {
    this.#options = options;
  }

  /** By id; the last that the service told. */
  get known(): ReadonlyMap<string, KnownRelay> {
    return this.#known;
  }

  /** Round trips as the service is told them. */
  get announced(): readonly RelayLatency[] {
    return this.#announced;
  }

  get choice(): RelayChoice {
    return this.#choice;
  }

  /** Relay ids, nearest first. */
  get byDistance(): readonly string[] {
    const ms = (relayId: string): number => this.#roundTrips.get(relayId) ?? FAR_MS;
    return [...this.#known.keys()].toSorted((a, b) => ms(a) - ms(b));
  }

  /** The service's newest map. */
  tellMap(map: ReachabilityMap): void {
    const before = [...this.#known.values()].map(({ origin }) => origin).join();
    this.#known = readRelays(map);
    if ([...this.#known.values()].map(({ origin }) => origin).join() !== before) this.measure();
    else this.#options.onChange();
  }

  /** Chooses anew among the usable relays. Before the first measurement nothing is chosen. */
  choose(usable: ReadonlySet<string>): void {
    if (!this.#isMeasured) return;
    this.#choice = chooseRelays(this.#choice, usable, this.#roundTrips);
  }

  /** Measures now: the network, or the map, changed. */
  measure(): void {
    if (this.#isMeasuring || this.#abort.signal.aborted || this.#known.size === 0) return;
    this.#timer?.cancel();
    void this.#round();
  }

  close(): void {
    this.#abort.abort();
    this.#timer?.cancel();
  }

  async #round(): Promise<void> {
    const { clock, onChange } = this.#options;
    const { signal } = this.#abort;
    this.#isMeasuring = true;
    const relays = [...this.#known.values()];
    const samples = await measureRelays({ ...this.#options, relays, signal });
    this.#isMeasuring = false;
    if (signal.aborted) return;
    const known = new Set(this.#known.keys());
    this.#roundTrips = smoothRoundTrips(this.#roundTrips, samples, known);
    this.#announced = announceRoundTrips(this.#announced, this.#roundTrips);
    this.#isMeasured = true;
    this.#timer = clock.setTimer(ROUND_PAUSE_MS, () => this.measure());
    onChange();
  }
}

/** A relay that was not measured comes after all others. */
const FAR_MS = 1_000_000;
