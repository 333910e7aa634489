/**
 * Where to send to a peer, as long as there is no path selection: the best candidate that the peer announced, the next
 * one when that stays silent.
 */
import { type Endpoint, EndpointKind } from '@nexodus/contracts/type';
import {
  addressKind,
  formatIpAddress,
  InvalidAddressError,
  type IpAddress,
  type IpPrefix,
  parseIpAddress,
  prefixContains,
} from '@nexodus/netip';

/** The endpoint that was asked for last, and since when. */
export interface EndpointTrial {
  readonly endpoint: string;
  readonly sinceMs: number;
  /** Bytes sent to the peer when it was chosen. */
  readonly txBytes: number;
}

/** What the tunnel says of the peer. */
export interface PeerTraffic {
  /** Milliseconds since 1970; undefined before the first. */
  readonly handshakeAtMs?: number;
  readonly txBytes: number;
}

/** What a choice is made from. */
export interface EndpointQuestion {
  readonly candidates: readonly Endpoint[];
  readonly trial: EndpointTrial | undefined;
  readonly traffic: PeerTraffic | undefined;
  /** Prefixes that this machine reaches without a router. */
  readonly onLink: readonly IpPrefix[];
  /** Addresses that are never an underlay: this machine's own and all tunnel addresses, canonical. */
  readonly excluded: ReadonlySet<string>;
  readonly nowMs: number;
}

/** A WireGuard session is renewed within this time while data flows (REJECT_AFTER_TIME, paper section 6.2). */
const SESSION_MS = 180_000;

/** Time that a candidate has to answer: three of WireGuard's handshake attempts (REKEY_TIMEOUT 5 s). */
const TRIAL_MS = 15_000;

/** At most this many candidates of a peer are considered, so that a peer cannot make the agent scan for it. */
const MAX_CANDIDATES = 16;

/** Chooses; undefined while the peer announced nothing usable: wait until it speaks. */
export function chooseEndpoint(question: EndpointQuestion): EndpointTrial | undefined {
  const { trial, traffic, nowMs } = question;
  const ranked = rank(question);
  const best = ranked[0];
  if (trial === undefined) return best === undefined ? undefined : begin(best, question);
  const isAlive = nowMs - (traffic?.handshakeAtMs ?? -Infinity) < SESSION_MS;
  if (isAlive || ranked.length === 0) return trial;
  const at = ranked.indexOf(trial.endpoint);
  if (at === -1) return begin(best ?? trial.endpoint, question);
  const isWanted = (traffic?.txBytes ?? 0) > trial.txBytes;
  if (!isWanted || nowMs - trial.sinceMs < TRIAL_MS) return trial;
  return begin(ranked[(at + 1) % ranked.length] ?? trial.endpoint, question);
}

function begin(endpoint: string, { nowMs, traffic }: EndpointQuestion): EndpointTrial {
  return { endpoint, sinceMs: nowMs, txBytes: traffic?.txBytes ?? 0 };
}

/** Usable candidates: on-link local ones, then reflexive and port-mapped ones, then the others, each as announced. */
function rank(question: EndpointQuestion): string[] {
  const usable = question.candidates.slice(0, MAX_CANDIDATES).flatMap((candidate) => {
    const parsed = parseEndpoint(candidate.address);
    if (parsed === undefined || !isUnderlay(parsed.address, question)) return [];
    return [{ text: parsed.text, rank: rankOf(candidate.kind, parsed.address, question) }];
  });
  const sorted = usable.toSorted((a, b) => a.rank - b.rank).map(({ text }) => text);
  return [...new Set(sorted)];
}

function rankOf(kind: EndpointKind, address: IpAddress, { onLink }: EndpointQuestion): number {
  switch (kind) {
    case EndpointKind.REFLEXIVE:
    case EndpointKind.PORT_MAPPED:
      return 1;
    default:
      return onLink.some((prefix) => prefixContains(prefix, address)) ? 0 : 2;
  }
}

const underlayKinds: ReadonlySet<string> = new Set([
  'private',
  'carrier-nat',
  'unique-local',
  'global',
]);

function isUnderlay(address: IpAddress, { excluded }: EndpointQuestion): boolean {
  return underlayKinds.has(addressKind(address)) && !excluded.has(formatIpAddress(address));
}

function parseEndpoint(text: string): { address: IpAddress; text: string } | undefined {
  const match = /^(?:\[(?<six>[0-9a-fA-F:.]+)\]|(?<four>[0-9.]+)):(?<port>[0-9]{1,5})$/.exec(text);
  const port = Number(match?.groups?.port);
  if (match === null || port < 1 || port > 65_535) return undefined;
  try {
    const address = parseIpAddress(match.groups?.six ?? match.groups?.four ?? '');
    const isBracketed = match.groups?.six !== undefined;
    if (isBracketed !== (address.family === 6)) return undefined;
    const host = formatIpAddress(address);
    return { address, text: isBracketed ? `[${host}]:${port}` : `${host}:${port}` };
  } catch (error) {
    if (error instanceof InvalidAddressError) return undefined;
    throw error;
  }
}
