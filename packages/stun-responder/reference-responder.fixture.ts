/** What a server shall answer, said with decoded messages: the responder is compared with it. Its rates are not here. */
import { addressKind } from '@nexodus/netip';
import {
  attributeType,
  BINDING_METHOD,
  decodeStunMessage,
  encodeStunMessage,
  isComprehensionRequired,
  type StunAttribute,
  StunFormatError,
  type StunMessage,
  type TransportAddress,
} from '@nexodus/stun-codec';

/** The sockets of a server with discovery, by what a request changes. */
export interface ReferenceServer {
  readonly origins: readonly (TransportAddress | undefined)[];
  readonly other: TransportAddress | undefined;
}

/** The answer and the index of the socket that sends it; undefined where nothing is sent. */
export function referenceAnswer(
  datagram: Uint8Array,
  source: TransportAddress,
  server: ReferenceServer,
): { readonly from: number; readonly reply: Uint8Array } | undefined {
  const kind = addressKind(source.address);
  const noHost = ['unspecified', 'this-network', 'multicast', 'broadcast', 'reserved'];
  if (source.port < 1_024 || noHost.includes(kind)) return undefined;
  const request = decodeOrIgnore(datagram);
  if (request?.class !== 'request' || request.method !== BINDING_METHOD) return undefined;
  const change = request.attributes.find((one) => one.kind === 'change-request');
  const from = change ? (change.changesAddress ? 2 : 0) + (change.changesPort ? 1 : 0) : 0;
  const canChange = server.origins.slice(1).some((origin) => origin !== undefined);
  const unknown = unknownTypes(request);
  if (change && (!canChange || (from > 0 && server.origins[from] === undefined))) {
    unknown.push(attributeType.changeRequest);
  }
  return unknown.length > 0
    ? { from: 0, reply: refusal(request, unknown) }
    : { from, reply: success(request, source, { ...server, origin: server.origins[from] }) };
}

function decodeOrIgnore(datagram: Uint8Array): StunMessage | undefined {
  if (datagram.length > 1_232) return undefined;
  try {
    return decodeStunMessage(datagram);
  } catch (error) {
    if (error instanceof StunFormatError) return undefined;
    throw error;
  }
}

function unknownTypes({ attributes }: StunMessage): number[] {
  const understood: number[] = [
    attributeType.username,
    attributeType.messageIntegrity,
    attributeType.realm,
    attributeType.nonce,
    attributeType.messageIntegritySha256,
    attributeType.passwordAlgorithm,
    attributeType.userhash,
  ];
  const types = attributes.flatMap((attribute) =>
    attribute.kind === 'other' &&
    isComprehensionRequired(attribute.type) &&
    !understood.includes(attribute.type)
      ? [attribute.type]
      : [],
  );
  return [...new Set(types)];
}

function success(
  { transactionId }: StunMessage,
  mapped: TransportAddress,
  { origin, other }: { origin: TransportAddress | undefined; other: TransportAddress | undefined },
): Uint8Array {
  const attributes: StunAttribute[] = [{ kind: 'xor-mapped-address', mapped }];
  if (origin) attributes.push({ kind: 'response-origin', origin });
  if (other) attributes.push({ kind: 'other-address', other });
  return answer('success', transactionId, attributes);
}

function refusal({ transactionId }: StunMessage, types: readonly number[]): Uint8Array {
  return answer('error', transactionId, [
    { kind: 'error-code', code: 420, reason: 'Unknown Attribute' },
    { kind: 'unknown-attributes', types },
  ]);
}

function answer(
  kind: 'success' | 'error',
  transactionId: Uint8Array,
  attributes: readonly StunAttribute[],
): Uint8Array {
  return encodeStunMessage({
    class: kind,
    method: BINDING_METHOD,
    transactionId,
    attributes: [...attributes, { kind: 'software', text: 'Nexodus' }],
    hasFingerprint: true,
  });
}
