/** What stands between a machine and the internet for one address family, in the terms of RFC 4787. */

/** To which outside socket one inside socket is mapped (RFC 4787 section 4.1). */
export type MappingBehaviour =
  /** The same for all destinations. */
  | 'eim'
  /** Another for each destination address. */
  | 'adm'
  /** Another for each destination address and port. */
  | 'apdm';

/** Whose datagrams a mapping, or a firewall, lets in (RFC 4787 section 5). */
export type FilteringBehaviour =
  /** Anybody's. */
  | 'eif'
  /** Those of addresses that were sent to. */
  | 'adf'
  /** Those of addresses and ports that were sent to. */
  | 'apdf';

/** Address and port, the address canonical. */
export interface Place {
  readonly address: string;
  readonly port: number;
}

/** How a server saw the machine. */
export interface MappedPlace {
  readonly server: Place;
  readonly mapped: Place;
}

/** Why a verdict is as it is, or why a part of it is not known. */
export type NatReason =
  /** No STUN server of this family is known, or this machine has no socket of it. */
  | { readonly code: 'no-server' }
  /** None of so many servers answered. */
  | { readonly code: 'no-answer'; readonly servers: number }
  /** Only one address was there to compare with. */
  | { readonly code: 'one-server' }
  /** Servers at different addresses saw different sockets. */
  | { readonly code: 'mappings-differ' }
  /** They did, and no server has a second port: the harder of the two kinds is assumed. */
  | { readonly code: 'ports-not-compared' }
  /** No server could answer from another address and port. */
  | { readonly code: 'filtering-not-offered' };

/** What stands there. */
export type NatKind =
  /** Nothing: everybody reaches the machine at its own address. */
  | 'open'
  /** No translation, but only what answers gets in. */
  | 'firewall'
  /** No translation; what gets in is not known. */
  | 'untranslated'
  | 'nat'
  /** Datagrams get no answer at all. */
  | 'udp-blocked'
  | 'unknown';

/** A verdict for one family. */
export interface NatVerdict {
  readonly kind: NatKind;
  /** Of what is not translated: `eim`. */
  readonly mapping: MappingBehaviour | 'unknown';
  readonly filtering: FilteringBehaviour | 'unknown';
  /** Whether the outside port is the inside one; undefined: nobody saw it. */
  readonly isPortPreserved: boolean | undefined;
  /** Whether the machine reaches itself by its outside address (RFC 4787 section 6); `not-needed` without translation. */
  readonly hairpin: 'yes' | 'no' | 'not-needed' | 'unknown';
  /** In the order in which servers were given. */
  readonly mapped: readonly MappedPlace[];
  readonly reasons: readonly NatReason[];
}

/**
 * The name of a verdict: `none`, `firewall`, the behaviour such as `eim-apdf`, `udp-blocked` or `unknown`. The
 * names of behaviours are those of the NAT laboratory.
 */
export function natName({ kind, mapping, filtering }: NatVerdict): string {
  switch (kind) {
    case 'open':
      return 'none';
    case 'nat':
      return mapping === 'unknown' || filtering === 'unknown'
        ? 'unknown'
        : `${mapping}-${filtering}`;
    case 'untranslated':
      return 'unknown';
    default:
      return kind;
  }
}
