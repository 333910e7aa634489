/**
 * The grants that a device holds: its pass, and a pair for each wanted peer. They are renewed at two thirds of their life,
 * and used to their very end while the service cannot be reached.
 */
import type { IssueRelayGrantsRequest, IssueRelayGrantsResponse } from '@nexodus/contracts/agent';
import { GrantPayload, type SignedGrant } from '@nexodus/contracts/relay';

/** A peer that a pair is wanted with. */
export interface WantedPeer {
  readonly deviceId: string;
  /** Base64. */
  readonly wireGuardKey: string;
}

/** A grant as it is held. Instants are milliseconds since 1970. */
export interface HeldGrant {
  readonly signed: SignedGrant;
  readonly grantId: string;
  readonly relayIds: ReadonlySet<string>;
  /** Base64, of all devices. */
  readonly wireGuardKeys: ReadonlySet<string>;
  readonly renewAtMs: number;
  readonly notAfterMs: number;
}

/** What is held. */
export interface GrantBook {
  readonly pass: HeldGrant | undefined;
  /** By the peer's device id. */
  readonly pairs: ReadonlyMap<string, HeldGrant>;
  /** Peers that the service gave no pair for, and until when they are not asked for again. */
  readonly withheldUntilMs: ReadonlyMap<string, number>;
}

/** What grants are wanted for. */
export interface GrantWish {
  readonly peers: readonly WantedPeer[];
  /** Relays that shall honour them. */
  readonly relayIds: readonly string[];
  /** Base64. */
  readonly ownWireGuardKey: string;
}

/** Nothing yet. */
export const EMPTY_BOOK: GrantBook = {
  pass: undefined,
  pairs: new Map(),
  withheldUntilMs: new Map(),
};

/** Bounds of one request (agent.proto). */
const MAX_PEERS = 100;
const MAX_RELAYS = 8;

/** A grant is renewed when this share of its life is over. */
const RENEW_AT = 2 / 3;

/** A peer that policy does not allow now may be allowed soon; asking every 15 s costs little. */
const WITHHELD_MS = 15_000;

/** What to ask the service for now; undefined: nothing. Peers beyond the bound of one request come with the next. */
export function grantsNeeded(
  book: GrantBook,
  wish: GrantWish,
  nowMs: number,
): IssueRelayGrantsRequest | undefined {
  const relayIds = wish.relayIds.slice(0, MAX_RELAYS);
  if (relayIds.length === 0) return undefined;
  const isSound = (held: HeldGrant | undefined, keys: readonly string[]): boolean =>
    held !== undefined &&
    nowMs < held.renewAtMs &&
    relayIds.every((relayId) => held.relayIds.has(relayId)) &&
    keys.every((key) => held.wireGuardKeys.has(key));
  const peers = wish.peers.filter(
    ({ deviceId, wireGuardKey }) =>
      nowMs >= (book.withheldUntilMs.get(deviceId) ?? -Infinity) &&
      !isSound(book.pairs.get(deviceId), [wish.ownWireGuardKey, wireGuardKey]),
  );
  if (peers.length === 0 && isSound(book.pass, [wish.ownWireGuardKey])) return undefined;
  return { peerDeviceIds: peers.slice(0, MAX_PEERS).map(({ deviceId }) => deviceId), relayIds };
}

/** Takes the service's answer in; a pass or pair that cannot be read is left out. Never throws. */
export function takeGrants(
  book: GrantBook,
  asked: IssueRelayGrantsRequest,
  answer: IssueRelayGrantsResponse,
  { ownDeviceId, nowMs }: { readonly ownDeviceId: string; readonly nowMs: number },
): GrantBook {
  const pairs = new Map(book.pairs);
  const withheldUntilMs = new Map(book.withheldUntilMs);
  for (const deviceId of asked.peerDeviceIds) {
    withheldUntilMs.set(deviceId, nowMs + WITHHELD_MS);
  }
  for (const signed of answer.pairs) {
    const read = holdGrant(signed, nowMs);
    const peerId = read?.deviceIds.find((deviceId) => deviceId !== ownDeviceId);
    if (read === undefined || peerId === undefined || !withheldUntilMs.has(peerId)) continue;
    pairs.set(peerId, read.held);
    withheldUntilMs.delete(peerId);
  }
  const pass = answer.pass === undefined ? undefined : holdGrant(answer.pass, nowMs);
  return { pass: pass?.held ?? book.pass, pairs, withheldUntilMs };
}

/** Forgets a pair that was refused or revoked; it is asked for again after a while. */
export function dropPair(book: GrantBook, peerId: string, nowMs: number): GrantBook {
  const pairs = new Map(book.pairs);
  pairs.delete(peerId);
  const withheldUntilMs = new Map(book.withheldUntilMs).set(peerId, nowMs + WITHHELD_MS);
  return { ...book, pairs, withheldUntilMs };
}

/** Forgets those of peers that are not wanted any more. */
export function keepPairs(book: GrantBook, wanted: ReadonlySet<string>): GrantBook {
  const only = <T>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
    new Map([...map].filter(([peerId]) => wanted.has(peerId)));
  return { ...book, pairs: only(book.pairs), withheldUntilMs: only(book.withheldUntilMs) };
}

/** The grant to show a relay; undefined where none holds there now. */
export function grantFor(
  held: HeldGrant | undefined,
  relayId: string,
  nowMs: number,
): SignedGrant | undefined {
  if (held === undefined || nowMs >= held.notAfterMs) return undefined;
  return held.relayIds.has(relayId) ? held.signed : undefined;
}

/** Reads what a signed grant says; undefined for what cannot be read. Its signature is the relays' business. */
export function holdGrant(
  signed: SignedGrant,
  nowMs: number,
): { readonly held: HeldGrant; readonly deviceIds: readonly string[] } | undefined {
  const payload = readPayload(signed.payload);
  if (payload === undefined) return undefined;
  const notAfterMs = Number(payload.notAfterSeconds) * 1_000;
  const held: HeldGrant = {
    signed,
    grantId: payload.grantId,
    relayIds: new Set(payload.relayIds),
    wireGuardKeys: new Set(
      payload.devices.map(({ wireguardPublicKey }) =>
        Buffer.from(wireguardPublicKey).toString('base64'),
      ),
    ),
    renewAtMs: nowMs + Math.max(0, notAfterMs - nowMs) * RENEW_AT,
    notAfterMs,
  };
  return { held, deviceIds: payload.devices.map(({ deviceId }) => deviceId) };
}

function readPayload(bytes: Uint8Array): GrantPayload | undefined {
  try {
    return GrantPayload.decode(bytes);
  } catch {
    // The decoder of the contracts throws several kinds of errors for bytes that are no message.
    return undefined;
  }
}
