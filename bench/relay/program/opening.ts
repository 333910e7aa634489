import {
  encodeRegistration,
  openRegistrationAnswer,
  type ObservedAddress,
  RelayRegistrationKey,
} from '@nexodus/relay-registration';
import type { Endpoint } from './endpoint.ts';
import { allocateRequest, channelBindRequest, relayedAddress } from './turn-messages.ts';

/** What a socket says to a relay before it may send through it. */
export interface Opening {
  /** The request that waits for an answer; it is sent again until it comes. Undefined: nothing is left to say. */
  readonly request: Uint8Array | undefined;
  /** Takes what arrived meanwhile. */
  take(bytes: Uint8Array): void;
  /** What the relay gave, once nothing is left to say. */
  readonly relayed?: Endpoint;
}

/** What kind of opening is wanted, as JSON. */
export type OpeningPlan =
  | {
      readonly kind: 'registration';
      readonly sessionId: number;
      readonly side: 0 | 1;
      /** Base64. */
      readonly key: string;
    }
  | { readonly kind: 'allocation'; readonly peer: Endpoint };

/** Makes the opening that a plan describes. */
export function createOpening(plan: OpeningPlan): Opening {
  return plan.kind === 'registration' ? new RegistrationOpening(plan) : new TurnOpening(plan.peer);
}

/** Registers with a UDP lane until it is locked. */
class RegistrationOpening implements Opening {
  readonly #plan: Extract<OpeningPlan, { kind: 'registration' }>;
  readonly #key: RelayRegistrationKey;
  #timestamp = BigInt(Date.now()) * 1_000n;
  request: Uint8Array | undefined;

  constructor(plan: Extract<OpeningPlan, { kind: 'registration' }>) {
    this.#plan = plan;
    this.#key = RelayRegistrationKey.fromBytes(new Uint8Array(Buffer.from(plan.key, 'base64')));
    this.request = this.#requestFrom(undefined);
  }

  take(bytes: Uint8Array): void {
    const answer = this.request && openRegistrationAnswer(bytes, this.request, this.#key);
    if (answer === undefined) return;
    this.request = answer.isLocked ? undefined : this.#requestFrom(answer.observed);
  }

  #requestFrom(observed: ObservedAddress | undefined): Uint8Array {
    const { sessionId, side } = this.#plan;
    const timestamp = (this.#timestamp += 1n);
    return encodeRegistration(
      { sessionId: BigInt(sessionId), side, timestamp, observed },
      this.#key,
    );
  }
}

/** Allocates a relayed address of a TURN server and binds the channel to a peer. */
class TurnOpening implements Opening {
  readonly #peer: Endpoint;
  request: Uint8Array | undefined = allocateRequest();
  relayed: Endpoint | undefined;

  constructor(peer: Endpoint) {
    this.#peer = peer;
  }

  take(bytes: Uint8Array): void {
    const { request } = this;
    if (request === undefined) return;
    if (this.relayed === undefined) {
      this.relayed = relayedAddress(bytes, request);
      if (this.relayed !== undefined) this.request = channelBindRequest(this.#peer);
    } else if (isSuccess(bytes, request)) {
      this.request = undefined;
    }
  }
}

/** A success response (class 10, RFC 8489 section 5) to a request. */
function isSuccess(bytes: Uint8Array, request: Uint8Array): boolean {
  const isSame = Buffer.compare(bytes.subarray(4, 20), request.subarray(4, 20)) === 0;
  return isSame && bytes[0] === 0x01 && bytes[1] === request[1];
}
