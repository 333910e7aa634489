import * as wire from '@nexodus/contracts/path';
import { ipAddressFromBytes, ipAddressesEqual, ipAddressToBytes, unmapIpv4 } from '@nexodus/netip';
import {
  type Candidate,
  type CandidateKind,
  type DeclineReason,
  MAX_CANDIDATES,
  type Signal,
  type UdpAddress,
} from './signal.ts';

/** The byte that names each kind in a sealed signal. */
export const signalKinds: Readonly<Record<Signal['kind'], number>> = {
  candidates: 1,
  'call-me': 2,
  nominate: 3,
  accept: 4,
  decline: 5,
};

const candidateKinds: Readonly<Record<CandidateKind, wire.CandidateKind>> = {
  local: wire.CandidateKind.LOCAL,
  observed: wire.CandidateKind.OBSERVED,
  'port-mapped': wire.CandidateKind.PORT_MAPPED,
  reflexive: wire.CandidateKind.REFLEXIVE,
};

const declineReasons: Readonly<Record<DeclineReason, wire.DeclineReason>> = {
  busy: wire.DeclineReason.BUSY,
  unknown: wire.DeclineReason.UNKNOWN,
  unproven: wire.DeclineReason.UNPROVEN,
  unspecified: wire.DeclineReason.UNSPECIFIED,
  unwanted: wire.DeclineReason.UNWANTED,
};

/** Thrown by `decodeSignalBody`: the bytes are no signal of their kind. */
class SignalFormatError extends Error {
  override readonly name = 'SignalFormatError';
}

/**
 * The message of nexodus.path.v1 for a signal.
 *
 * @throws {RangeError} for more than 16 candidates, a port that is none or an IPv4-mapped address
 */
export function encodeSignalBody(signal: Signal): Uint8Array {
  switch (signal.kind) {
    case 'candidates':
      return encodeCandidates(signal);
    case 'call-me':
      return wire.CallMe.encode({}).finish();
    case 'nominate':
      return wire.Nominate.encode(signal).finish();
    case 'accept':
      return wire.Accept.encode(signal).finish();
    case 'decline':
      return wire.Decline.encode({ ...signal, reason: declineReasons[signal.reason] }).finish();
  }
}

/**
 * Reads a message of nexodus.path.v1; undefined for a kind that is not known. Fields and kinds of candidates that are not
 * known are passed over.
 *
 * @throws {SignalFormatError}
 */
export function decodeSignalBody(kind: number, body: Uint8Array): Signal | undefined {
  switch (kind) {
    case signalKinds.candidates:
      return decodeCandidates(read(wire.Candidates, body));
    case signalKinds['call-me']:
      read(wire.CallMe, body);
      return { kind: 'call-me' };
    case signalKinds.nominate:
      return { kind: 'nominate', ...read(wire.Nominate, body) };
    case signalKinds.accept:
      return { kind: 'accept', ...read(wire.Accept, body) };
    case signalKinds.decline: {
      const { nomination, reason } = read(wire.Decline, body);
      return {
        kind: 'decline',
        nomination,
        reason: nameOf(declineReasons, reason) ?? 'unspecified',
      };
    }
    default:
      return undefined;
  }
}

function encodeCandidates({
  candidates,
  observed,
}: Extract<Signal, { kind: 'candidates' }>): Uint8Array {
  if (candidates.length > MAX_CANDIDATES) {
    throw new RangeError(`a signal has at most ${MAX_CANDIDATES} candidates`);
  }
  const message = {
    candidates: candidates.map((candidate) => ({
      kind: candidateKinds[candidate.kind],
      address: encodeAddress(candidate),
      priority: candidate.priority,
    })),
    observed: observed && encodeAddress(observed),
  };
  return wire.Candidates.encode(message).finish();
}

function encodeAddress({ address, port }: UdpAddress): wire.Address {
  if (!isPort(port)) throw new RangeError('a port is 1 to 65,535');
  if (!ipAddressesEqual(unmapIpv4(address), address)) {
    throw new RangeError('an IPv4 address is given as such');
  }
  return { ip: Buffer.from(ipAddressToBytes(address)), port };
}

function decodeCandidates({ candidates, observed }: wire.Candidates): Signal {
  if (candidates.length > MAX_CANDIDATES) throw new SignalFormatError('too many candidates');
  return {
    kind: 'candidates',
    candidates: candidates.flatMap((candidate) => decodeCandidate(candidate) ?? []),
    observed: observed && decodeAddress(observed),
  };
}

function decodeCandidate({ address, kind, priority }: wire.Candidate): Candidate | undefined {
  const name = nameOf(candidateKinds, kind);
  return name && { kind: name, ...decodeAddress(address), priority };
}

function decodeAddress(at: wire.Address | undefined): UdpAddress {
  const { ip, port } = at ?? { ip: new Uint8Array(), port: 0 };
  if ((ip.length !== 4 && ip.length !== 16) || !isPort(port)) {
    throw new SignalFormatError('no address and port');
  }
  const address = ipAddressFromBytes(ip);
  // An address in another form would pass where its usual form is looked for and refused.
  if (!ipAddressesEqual(unmapIpv4(address), address)) {
    throw new SignalFormatError('an IPv4 address in the form of an IPv6 one');
  }
  return { address, port };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port <= 0xffff;
}

function nameOf<Name extends string>(
  codes: Readonly<Record<Name, number>>,
  code: number,
): Name | undefined {
  // The record has these names and no others.
  const names = Object.keys(codes) as Name[];
  return names.find((name) => codes[name] === code);
}

function read<Message>(type: { decode(bytes: Uint8Array): Message }, body: Uint8Array): Message {
  try {
    return type.decode(body);
  } catch {
    throw new SignalFormatError('no message of this kind');
  }
}
