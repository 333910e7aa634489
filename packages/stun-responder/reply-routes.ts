import type { StunAttribute, TransportAddress } from '@nexodus/stun-codec';
import { attributeBytes } from './attribute-bytes.ts';

/** A socket of a server, as far as answers go. */
export interface StunEndpoint {
  /** Handle that the caller knows it by. */
  readonly socket: number;
  /** Where clients reach it, told in RESPONSE-ORIGIN. Absent in a server without NAT discovery. */
  readonly origin?: TransportAddress;
}

/** What a server knows about the socket at which requests arrive. */
export interface ReplyRoutes {
  /**
   * By the flags of CHANGE-REQUEST halved (1: port, 2: address, 3: both; 0: neither): from which socket to answer, and
   * what the answer holds behind the mapped address. Undefined where there is no such socket.
   */
  readonly byChange: readonly (ReplyRoute | undefined)[];
  /** Whether CHANGE-REQUEST is understood at all. */
  readonly canChange: boolean;
}

/** One way to answer. */
export interface ReplyRoute {
  readonly socket: number;
  /** Attributes behind the mapped address, before FINGERPRINT. */
  readonly tail: Uint8Array;
}

/**
 * Prepares the answers to requests that arrive at a socket. With discovery (RFC 5780) `changed` holds the sockets that
 * answer a request to change the port, the address and both, and `other` is what OTHER-ADDRESS tells: where the one with
 * both changed is reached, if the address differs (section 7.4). `software` has at most 12 characters of ASCII: with
 * more an answer would grow beyond 60 bytes on IPv4 and 96 on IPv6.
 */
export function createReplyRoutes(options: {
  readonly endpoint: StunEndpoint;
  readonly software: string;
  readonly changed?: {
    readonly port?: StunEndpoint;
    readonly address?: StunEndpoint;
    readonly both?: StunEndpoint;
  };
  readonly other?: TransportAddress;
}): ReplyRoutes {
  const { endpoint, changed = {}, other, software } = options;
  if (software.length > 12) throw new RangeError('SOFTWARE would make answers too long');
  const routeBy = (from: StunEndpoint | undefined): ReplyRoute | undefined =>
    from && { socket: from.socket, tail: tailOf({ origin: from.origin, other, software }) };
  const byChange = [endpoint, changed.port, changed.address, changed.both].map(routeBy);
  return { byChange, canChange: byChange.slice(1).some((route) => route !== undefined) };
}

function tailOf({
  origin,
  other,
  software,
}: {
  readonly origin: TransportAddress | undefined;
  readonly other: TransportAddress | undefined;
  readonly software: string;
}): Uint8Array {
  const attributes: StunAttribute[] = [{ kind: 'software', text: software }];
  if (other !== undefined) attributes.unshift({ kind: 'other-address', other });
  if (origin !== undefined) attributes.unshift({ kind: 'response-origin', origin });
  return attributeBytes(attributes);
}
