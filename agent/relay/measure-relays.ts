/** Round trips to relays: by STUN from the agent's sockets, by the time that a connection takes where there is none. */
import { connect } from 'node:net';
import type { Clock } from '@nexodus/clock';
import { StunExchange } from '../netcheck/stun-exchange.ts';
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
  const stun = new StunExchange(options.portSocket, options.clock);
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
  readonly stun: StunExchange;
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

async function sample(
  place: DatagramPlace,
  { stun, clock, deadline }: Round,
): Promise<number | undefined> {
  const samples: number[] = [];
  const isComplete = new AbortController();
  for (let index = 0; index < SAMPLES && !deadline.aborted; index += 1) {
    if (index > 0) await clock.wait(SAMPLE_PAUSE_MS, deadline);
    const request = stun.begin(place, ({ kind, roundTripMs }) => {
      if (kind === 'success') samples.push(roundTripMs);
      if (samples.length === SAMPLES) isComplete.abort();
    });
    request.send();
  }
  await clock.wait(SAMPLE_WAIT_MS, AbortSignal.any([deadline, isComplete.signal]));
  return samples.length === 0 ? undefined : Math.min(...samples);
}

/** After the last request. */
const SAMPLE_WAIT_MS = 600;

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
