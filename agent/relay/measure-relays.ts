/** Round trips to relays: by STUN from the agent's sockets, by the time that a connection takes where there is none. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import type { Clock } from '@nexodus/clock';
import {
  BINDING_METHOD,
  decodeStunMessage,
  encodeStunMessage,
  StunFormatError,
} from '@nexodus/stun-codec';
import { openTunnel } from '../service-access/open-tunnel.ts';
import { type ProxySettings, proxyTo } from '../service-access/proxy-settings.ts';
import type { KnownRelay } from './core/relay-directory.ts';
import type { RoundTrips } from './core/round-trips.ts';
import { placeOfText } from './place-text.ts';
import type { DatagramPlace, PortSocket } from './port-socket.ts';

/** What measuring needs. */
export interface MeasureOptions {
  readonly relays: readonly KnownRelay[];
  readonly portSocket: PortSocket;
  readonly proxies: ProxySettings;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A relay that is farther than this is none for this device; a round ends by then. */
const ROUND_MS = 1_500;

/** Requests to one address: the best counts, one that is lost costs nothing. */
const SAMPLES = 3;
const SAMPLE_PAUSE_MS = 100;

/** Measures all relays at once; those that do not answer are left out. Never rejects. */
export async function measureRelays(options: MeasureOptions): Promise<RoundTrips> {
  const measured = new Map<string, number>();
  const deadline = AbortSignal.any([options.signal, AbortSignal.timeout(ROUND_MS)]);
  const stun = new StunProbes(options);
  await Promise.all(
    options.relays.map(async (relay) => {
      const ms = await measure(relay, { ...options, stun, deadline });
      if (ms !== undefined) measured.set(relay.relayId, ms);
    }),
  );
  stun.close();
  return measured;
}

interface Round extends MeasureOptions {
  readonly stun: StunProbes;
  readonly deadline: AbortSignal;
}

/** Through a proxy only connections pass, and their way is the one that counts. */
async function measure(relay: KnownRelay, round: Round): Promise<number | undefined> {
  const isDirect = proxyTo(round.proxies, relay) === undefined;
  const places = isDirect ? relay.stunAddresses.flatMap((text) => placeOfText(text) ?? []) : [];
  const byStun = await Promise.all(places.map((place) => sample(place, round)));
  const best = Math.min(...byStun.flatMap((ms) => ms ?? []));
  return best === Infinity ? connectTime(relay, round) : best;
}

async function sample(place: DatagramPlace, { stun, clock, deadline }: Round) {
  const answers: Promise<number | undefined>[] = [];
  for (let index = 0; index < SAMPLES && !deadline.aborted; index += 1) {
    if (index > 0) await clock.wait(SAMPLE_PAUSE_MS, deadline);
    answers.push(stun.ask(place));
  }
  const waitMs = Math.min(ROUND_MS / 2, SAMPLE_WAIT_MS);
  void clock.wait(waitMs, deadline).then(() => stun.giveUp(place));
  const all = (await Promise.all(answers)).flatMap((ms) => ms ?? []);
  return all.length === 0 ? undefined : Math.min(...all);
}

const SAMPLE_WAIT_MS = 600;

/** Requests under way, by transaction. */
class StunProbes {
  readonly #options: MeasureOptions;
  readonly #waiting = new Map<
    string,
    { sentAtMs: number; place: DatagramPlace; resolve: (ms: number | undefined) => void }
  >();
  readonly #leave: () => void;

  constructor(options: MeasureOptions) {
    this.#options = options;
    this.#leave = options.portSocket.listen((datagram) => this.#receive(datagram));
  }

  ask(place: DatagramPlace): Promise<number | undefined> {
    const transactionId = randomBytes(12);
    const request = encodeStunMessage({
      class: 'request',
      method: BINDING_METHOD,
      transactionId,
      attributes: [],
      hasFingerprint: true,
    });
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const sentAtMs = this.#options.clock.monotonicMs();
    this.#waiting.set(transactionId.toString('hex'), { sentAtMs, place, resolve });
    this.#options.portSocket.send(request, place);
    return promise;
  }

  giveUp(place: DatagramPlace): void {
    for (const [key, waiting] of this.#waiting) {
      if (waiting.place !== place) continue;
      this.#waiting.delete(key);
      waiting.resolve(undefined);
    }
  }

  close(): void {
    this.#leave();
    for (const { resolve } of this.#waiting.values()) resolve(undefined);
    this.#waiting.clear();
  }

  #receive(datagram: Uint8Array): void {
    const id = transactionOf(datagram);
    const waiting = id === undefined ? undefined : this.#waiting.get(id);
    if (id === undefined || waiting === undefined) return;
    this.#waiting.delete(id);
    waiting.resolve(this.#options.clock.monotonicMs() - waiting.sentAtMs);
  }
}

function transactionOf(datagram: Uint8Array): string | undefined {
  try {
    const message = decodeStunMessage(datagram);
    if (message.class !== 'success' || message.method !== BINDING_METHOD) return undefined;
    return Buffer.from(message.transactionId).toString('hex');
  } catch (error) {
    if (error instanceof StunFormatError) return undefined;
    throw error;
  }
}

/** A TCP handshake is one round trip; through a proxy, one to the proxy and one from there. */
async function connectTime(
  relay: KnownRelay,
  { clock, deadline, proxies }: Round,
): Promise<number | undefined> {
  if (deadline.aborted) return undefined;
  const proxy = proxyTo(proxies, relay);
  const startedAtMs = clock.monotonicMs();
  try {
    const socket =
      proxy === undefined
        ? await connectPlain(relay, deadline)
        : await openTunnel(proxy, relay.host, relay.port, { signal: deadline });
    const ms = clock.monotonicMs() - startedAtMs;
    socket.destroy();
    return ms;
  } catch {
    // A relay that cannot be connected to has no round trip.
    return undefined;
  }
}

function connectPlain({ host, port }: KnownRelay, signal: AbortSignal) {
  const socket = connect({ host, port, signal });
  return new Promise<typeof socket>((resolve, reject) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}
