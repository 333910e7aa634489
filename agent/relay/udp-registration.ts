/** One side of a session in the UDP lane: registered at one address of the relay, the next one where that is silent. */
import type { Clock, Timer } from '@nexodus/clock';
import {
  encodeRegistration,
  type ObservedAddress,
  openRegistrationAnswer,
  type RelayRegistrationKey,
  type SessionSide,
} from '@nexodus/relay-registration';
import type { UdpStanding } from './core/choose-lane.ts';
import {
  beginRegistration,
  type RegistrationCycle,
  type RegistrationEvent,
  stepRegistration,
} from './core/registration-cycle.ts';
import { placeOfText } from './place-text.ts';
import type { DatagramPlace } from './port-socket.ts';

/** What a registration needs. */
export interface UdpRegistrationOptions {
  readonly sessionId: bigint;
  readonly side: SessionSide;
  readonly key: RelayRegistrationKey;
  /** Where the relay told this side to send, `address:port`. */
  readonly addresses: readonly string[];
  /** Sends from the tunnel's port; undefined where this machine cannot. */
  readonly send: ((datagram: Uint8Array, to: DatagramPlace) => void) | undefined;
  /** Larger with each call, also after a restart. */
  readonly nextTimestamp: () => bigint;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly onState: () => void;
}

/** Answers are waited for to so many of the last registrations. */
const REMEMBERED = 4;

/** A registration that runs from its making to `close`. */
export class UdpRegistration {
  readonly #options: UdpRegistrationOptions;
  readonly #places: readonly (DatagramPlace & { readonly text: string })[];
  #at = 0;
  #cycle: RegistrationCycle<ObservedAddress>;
  #standing: UdpStanding;
  #sent: Uint8Array[] = [];
  #timer: Timer | undefined;

  constructor(options: UdpRegistrationOptions) {
    this.#options = options;
    const nowMs = options.clock.monotonicMs();
    this.#places = options.addresses.flatMap((text) => placeOfText(text) ?? []);
    this.#cycle = beginRegistration(nowMs);
    const state = this.#places.length === 0 ? 'none' : options.send ? 'asking' : 'unproven';
    this.#standing = { state, sinceMs: nowMs };
    if (state === 'asking') this.#handle({ kind: 'wake' });
  }

  get standing(): UdpStanding {
    return this.#standing;
  }

  /** Where the tunnel sends for this session, canonical; undefined while that is not known to work. */
  get address(): string | undefined {
    const { state } = this.#standing;
    const isUsed = state === 'registered' || state === 'unproven';
    return isUsed ? this.#places[this.#at]?.text : undefined;
  }

  /** All addresses of the session, canonical. */
  get addresses(): readonly string[] {
    return this.#places.map(({ text }) => text);
  }

  /** Takes a datagram that came from one of the addresses. */
  receive(datagram: Uint8Array): void {
    for (const sent of this.#sent) {
      const answer = openRegistrationAnswer(datagram, sent, this.#options.key);
      if (answer === undefined) continue;
      this.#sent = this.#sent.filter((other) => other !== sent);
      this.#handle({ kind: 'answered', ...answer });
      return;
    }
  }

  /** The relay doubts where this side is, or the network changed. */
  again(): void {
    this.#handle({ kind: 'again' });
  }

  /** Begins from the start where it had been given up. */
  retry(): void {
    if (this.#standing.state !== 'silent') return;
    this.#at = 0;
    this.#restart();
  }

  close(): void {
    this.#timer?.cancel();
    this.#sent = [];
    this.#cycle = { ...this.#cycle, phase: 'silent' };
  }

  #restart(): void {
    this.#cycle = beginRegistration(this.#options.clock.monotonicMs());
    this.#handle({ kind: 'wake' });
  }

  #handle(event: RegistrationEvent<ObservedAddress>): void {
    const { clock, random, send } = this.#options;
    if (send === undefined) return;
    const instant = { nowMs: clock.monotonicMs(), random: random() };
    const { cycle, isSent } = stepRegistration(this.#cycle, event, instant);
    this.#cycle = cycle;
    if (isSent) this.#send(send);
    if (cycle.phase === 'silent' && this.#at + 1 < this.#places.length) {
      this.#at += 1;
      this.#restart();
      return;
    }
    this.#timer?.cancel();
    if (cycle.phase !== 'silent') {
      const delayMs = Math.max(0, cycle.nextAtMs - instant.nowMs);
      this.#timer = clock.setTimer(delayMs, () => this.#handle({ kind: 'wake' }));
    }
    if (cycle.phase === this.#standing.state) return;
    this.#standing = { state: cycle.phase, sinceMs: instant.nowMs };
    this.#options.onState();
  }

  #send(send: NonNullable<UdpRegistrationOptions['send']>): void {
    const { key, nextTimestamp, sessionId, side } = this.#options;
    const place = this.#places[this.#at];
    if (place === undefined) return;
    const { observed } = this.#cycle;
    const bytes = encodeRegistration(
      { sessionId, side, timestamp: nextTimestamp(), observed },
      key,
    );
    this.#sent = [bytes, ...this.#sent].slice(0, REMEMBERED);
    send(bytes, place);
  }
}
