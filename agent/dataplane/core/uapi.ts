import { unreadable } from '../dataplane-error.ts';
import type { TunnelPeer, TunnelReading } from '../tunnel.ts';
import { canonicalCidr, readEndpoint } from './cidr.ts';
import type { PeerChanges } from './operation.ts';

/** The interface as wireguard-go reports it. */
export interface UapiReading extends TunnelReading {
  /** The private key in lower-case hex; null while none is set. A secret: compare it, never keep it. */
  readonly privateKeyHex: string | null;
}

/** Values that a UAPI answer may give for the interface and for a peer. */
interface PeerDraft {
  publicKey: string;
  endpoint?: string;
  allowedIps: string[];
  handshakeSeconds: number;
  handshakeNanoseconds: number;
  rxBytes: number;
  txBytes: number;
  persistentKeepaliveSeconds: number;
}

/**
 * Reads the answer to `get=1` (https://www.wireguard.com/xplatform/, "Configuration Protocol"); keys that it does not
 * know are passed over. Throws only DataplaneError: `tunnel-failed` for an errno, `unreadable-output` otherwise.
 */
export function parseUapiGet(text: string): UapiReading {
  const lines = splitLines(text);
  assertNoError(lines);
  let privateKeyHex: string | null = null;
  let listenPort = 0;
  const peers: PeerDraft[] = [];
  for (const [key, value] of lines) {
    const peer = peers.at(-1);
    if (key === 'public_key') peers.push(emptyPeer(keyFromHex(value)));
    else if (peer !== undefined) readPeerLine(peer, key, value);
    else if (key === 'private_key') privateKeyHex = hexKey(value);
    else if (key === 'listen_port') listenPort = count(value, 65_535);
  }
  return { privateKeyHex, listenPort, peers: peers.map(finishPeer) };
}

/** Reads the answer to a `set=1`: its errno, 0 for success. Throws DataplaneError(`unreadable-output`). */
export function parseUapiSet(text: string): number {
  const errno = splitLines(text).find(([key]) => key === 'errno');
  if (errno === undefined) throw unreadable('wireguard-go', 'no errno');
  return parseErrno(errno[1]);
}

/** The `set=1` request that gives the interface its key and port. It holds the private key. */
export function formatUapiInterface(settings: {
  readonly privateKeyHex?: string;
  readonly listenPort?: number;
}): string {
  const lines = ['set=1'];
  if (settings.privateKeyHex !== undefined) lines.push(`private_key=${settings.privateKeyHex}`);
  if (settings.listenPort !== undefined) lines.push(`listen_port=${settings.listenPort}`);
  return `${lines.join('\n')}\n\n`;
}

/** The `set=1` request for peer changes; keys are base64, prefixes and endpoints canonical. */
export function formatUapiPeers(changes: PeerChanges): string {
  const lines = ['set=1'];
  for (const key of changes.remove) lines.push(`public_key=${keyToHex(key)}`, 'remove=true');
  for (const peer of changes.set) {
    lines.push(`public_key=${keyToHex(peer.publicKey)}`);
    if (peer.endpoint !== undefined) lines.push(`endpoint=${peer.endpoint}`);
    lines.push(`persistent_keepalive_interval=${peer.persistentKeepaliveSeconds}`);
    lines.push('replace_allowed_ips=true');
    for (const cidr of peer.allowedIps) lines.push(`allowed_ip=${cidr}`);
  }
  return `${lines.join('\n')}\n\n`;
}

function splitLines(text: string): (readonly [string, string])[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const equals = line.indexOf('=');
      if (equals < 1) throw unreadable('wireguard-go', 'a line without a value');
      return [line.slice(0, equals), line.slice(equals + 1)] as const;
    });
}

function assertNoError(lines: readonly (readonly [string, string])[]): void {
  const errno = lines.at(-1);
  if (errno?.[0] !== 'errno') throw unreadable('wireguard-go', 'an answer that is cut off');
  const code = parseErrno(errno[1]);
  if (code !== 0) throw unreadable('wireguard-go', `errno ${code}`);
}

function parseErrno(value: string): number {
  if (!/^-?[0-9]{1,10}$/.test(value))
    throw unreadable('wireguard-go', 'an errno that is no number');
  return Math.abs(Number(value));
}

function emptyPeer(publicKey: string): PeerDraft {
  return {
    publicKey,
    allowedIps: [],
    handshakeSeconds: 0,
    handshakeNanoseconds: 0,
    rxBytes: 0,
    txBytes: 0,
    persistentKeepaliveSeconds: 0,
  };
}

function readPeerLine(peer: PeerDraft, key: string, value: string): void {
  switch (key) {
    case 'endpoint':
      peer.endpoint = expectText(readEndpoint(value), 'an endpoint');
      break;
    case 'allowed_ip':
      peer.allowedIps.push(expectText(canonicalCidr(value), 'an allowed address'));
      break;
    case 'last_handshake_time_sec':
      peer.handshakeSeconds = count(value, MAX_INSTANT_SECONDS);
      break;
    case 'last_handshake_time_nsec':
      peer.handshakeNanoseconds = count(value, 999_999_999);
      break;
    case 'rx_bytes':
      peer.rxBytes = count(value, Number.MAX_SAFE_INTEGER);
      break;
    case 'tx_bytes':
      peer.txBytes = count(value, Number.MAX_SAFE_INTEGER);
      break;
    case 'persistent_keepalive_interval':
      peer.persistentKeepaliveSeconds = count(value, 65_535);
      break;
  }
}

/** The latest whole second that a Date can hold with its fraction (ECMA-262 section 21.4.1.1). */
const MAX_INSTANT_SECONDS = 8_639_999_999_999;

function finishPeer(draft: PeerDraft): TunnelPeer {
  const { handshakeSeconds, handshakeNanoseconds, ...peer } = draft;
  const handshakeMs = handshakeSeconds * 1000 + Math.floor(handshakeNanoseconds / 1_000_000);
  return { ...peer, latestHandshakeAt: handshakeMs === 0 ? null : new Date(handshakeMs) };
}

function expectText(text: string | null, noun: string): string {
  if (text === null) throw unreadable('wireguard-go', `${noun} in another form`);
  return text;
}

function count(value: string, highest: number): number {
  const number = Number(value);
  if (!/^[0-9]{1,19}$/.test(value) || number > highest) {
    throw unreadable('wireguard-go', 'a number out of range');
  }
  return number;
}

function hexKey(value: string): string {
  if (!/^[0-9a-f]{64}$/.test(value)) throw unreadable('wireguard-go', 'a key in another form');
  return value;
}

function keyFromHex(value: string): string {
  return Buffer.from(hexKey(value), 'hex').toString('base64');
}

function keyToHex(publicKey: string): string {
  return Buffer.from(publicKey, 'base64').toString('hex');
}
