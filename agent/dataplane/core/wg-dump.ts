import { unreadable } from '../dataplane-error.ts';
import type { TunnelPeer, TunnelReading } from '../tunnel.ts';
import { canonicalCidr, readEndpoint } from './cidr.ts';

/** The interface as `wg show INTERFACE dump` reports it. */
export interface WgDump extends TunnelReading {
  /** Base64; null while none is set. A secret: compare it, never keep it. */
  readonly privateKey: string | null;
}

/** Reads `wg show INTERFACE dump` (wg(8), "show"). Throws only DataplaneError(`unreadable-output`). */
export function parseWgDump(text: string): WgDump {
  const [first = '', ...rest] = text.split('\n').filter((line) => line !== '');
  const fields = first.split('\t');
  if (fields.length !== 4) throw unreadable('wg', 'no interface line');
  const [privateKey = '', , listenPort = ''] = fields;
  return {
    privateKey: privateKey === '(none)' ? null : base64Key(privateKey),
    listenPort: count(listenPort, 65_535),
    peers: rest.map(parsePeer),
  };
}

function parsePeer(line: string): TunnelPeer {
  const fields = line.split('\t');
  if (fields.length !== 8) throw unreadable('wg', 'a peer line in another form');
  const [
    publicKey = '',
    ,
    endpoint = '',
    allowedIps = '',
    handshake = '',
    rx = '',
    tx = '',
    keepalive = '',
  ] = fields;
  const handshakeSeconds = count(handshake, 8_640_000_000_000);
  return {
    publicKey: base64Key(publicKey),
    endpoint: endpoint === '(none)' ? undefined : canonical(readEndpoint(endpoint)),
    allowedIps:
      allowedIps === '(none)'
        ? []
        : allowedIps.split(',').map((text) => canonical(canonicalCidr(text))),
    latestHandshakeAt: handshakeSeconds === 0 ? null : new Date(handshakeSeconds * 1000),
    rxBytes: count(rx, Number.MAX_SAFE_INTEGER),
    txBytes: count(tx, Number.MAX_SAFE_INTEGER),
    persistentKeepaliveSeconds: keepalive === 'off' ? 0 : count(keepalive, 65_535),
  };
}

function base64Key(text: string): string {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) throw unreadable('wg', 'a key in another form');
  return text;
}

function canonical(text: string | null): string {
  if (text === null) throw unreadable('wg', 'an address in another form');
  return text;
}

function count(text: string, highest: number): number {
  const number = Number(text);
  if (!/^[0-9]{1,19}$/.test(text) || number > highest)
    throw unreadable('wg', 'a number out of range');
  return number;
}
