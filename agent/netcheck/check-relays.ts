import type { Clock } from '@nexodus/clock';
import type { RelayAccess } from '../relay/relay-attachment.ts';
import type { KnownRelay } from '../relay/core/relay-directory.ts';
import { connectTls } from '../service-access/connect-tls.ts';
import { explainConnectFailure } from '../service-access/explain-connect-failure.ts';
import { proxyTo } from '../service-access/proxy-settings.ts';
import { askPlaces } from './ask-places.ts';
import type { RelayReport } from './core/network-report.ts';
import type { Place } from './core/nat-verdict.ts';
import { placeText, readPlaces } from './core/stun-servers.ts';
import type { StunExchange } from './stun-exchange.ts';

/** What checking relays needs. */
export interface RelayCheckOptions {
  readonly relays: readonly KnownRelay[];
  readonly homeRelayId: string;
  readonly access: RelayAccess;
  readonly exchange: StunExchange;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Of so many round trips the best counts. */
const SAMPLES = 3;

/** A relay that takes longer for a TLS connection is none for this device. */
const TLS_MS = 4_000;

/** Tries each relay over both lanes; nearest first, those that do not answer last. Never rejects. */
export async function checkRelays(options: RelayCheckOptions): Promise<readonly RelayReport[]> {
  const { relays, homeRelayId, access } = options;
  const reports = await Promise.all(
    relays.map(async (relay): Promise<RelayReport> => {
      const isDirect = proxyTo(access.proxies, relay) === undefined;
      const places = isDirect ? readPlaces(relay.stunAddresses) : [];
      const [udpRoundTripMs, tls] = await Promise.all([
        bestRoundTrip(places, options),
        tryTls(relay, options),
      ]);
      return {
        relayId: relay.relayId,
        isHome: relay.relayId === homeRelayId,
        isOpen: relay.isOpen,
        udpRoundTripMs,
        udpPlaces: places.map(placeText),
        origin: relay.origin,
        ...tls,
      };
    }),
  );
  return reports.toSorted((a, b) => compareMs(distanceOf(a), distanceOf(b)));
}

/** Connections take some round trips: among relays without datagrams they compare all the same. */
function distanceOf({ udpRoundTripMs, tlsMs }: RelayReport): number {
  return udpRoundTripMs ?? tlsMs ?? Infinity;
}

function compareMs(a: number, b: number): number {
  return a === b ? 0 : a - b;
}

async function bestRoundTrip(
  places: readonly Place[],
  options: RelayCheckOptions,
): Promise<number | undefined> {
  let best = Infinity;
  let asked = places;
  for (let sample = 0; sample < SAMPLES && asked.length > 0; sample += 1) {
    const replies = await askPlaces(asked, options);
    best = Math.min(best, ...[...replies.values()].map(({ roundTripMs }) => roundTripMs));
    asked = asked.filter((place) => replies.has(placeText(place)));
  }
  return best === Infinity ? undefined : best;
}

async function tryTls(
  relay: KnownRelay,
  { access, clock, signal }: RelayCheckOptions,
): Promise<Pick<RelayReport, 'tlsMs' | 'tlsProblem'>> {
  const { proxies, caPem } = access;
  const startedAtMs = clock.monotonicMs();
  const ended = new AbortController();
  // Whoever comes too late is closed all the same.
  const connecting = connectTls(relay, proxies, { caPem }).then(
    (socket) => {
      socket.destroy();
      return { tlsMs: clock.monotonicMs() - startedAtMs, tlsProblem: '' };
    },
    (error: unknown) => {
      const { message } = explainConnectFailure({ service: relay, proxies, caPem }, error);
      return { tlsMs: undefined, tlsProblem: message };
    },
  );
  const tooLate = clock
    .wait(TLS_MS, AbortSignal.any([ended.signal, signal]))
    .then(() => ({ tlsMs: undefined, tlsProblem: `${relay.origin} does not answer` }));
  const outcome = await Promise.race([connecting, tooLate]);
  ended.abort();
  return outcome;
}
