import type { Clock } from '@nexodus/clock';
import {
  ACCESS_TOKEN_LIFETIME_SECONDS,
  type AccessTokenKind,
  createAccessToken,
  ed25519Thumbprint,
  type Ed25519PrivateKey,
  parseEd25519PublicKey,
  readAssertionSubject,
  verifyClientAssertion,
} from '@nexodus/device-identity';
import { type RpcError, unauthenticated } from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';
import { forAnyAudience, refuseAssertion } from './token-refusal.ts';
import type { UsedTokens } from './used-tokens.ts';

/** Whom an assertion names. */
export interface Subject {
  /** Its present key. */
  publicKey: Uint8Array;
  /** Why it may not authenticate; told to nobody but the holder of the key. */
  refusal: RpcError | undefined;
}

/** Exchanges assertions for access tokens. */
export interface TokenExchange {
  /**
   * Verifies an assertion by the subject's present key, uses it up, and issues a token bound to that key.
   *
   * @param findSubject the subject of an id; throws the refusal when there is none
   * @throws {RpcError} UNAUTHENTICATED
   */
  exchange(
    assertion: string,
    kind: AccessTokenKind,
    findSubject: (id: string) => Promise<Subject>,
  ): Promise<{ accessToken: string; expireTime: Date }>;
}

/** Makes the exchange. */
export function createTokenExchange(options: {
  clock: Clock;
  usedTokens: UsedTokens;
  tokenKey: Ed25519PrivateKey<'token'>;
  audiences: readonly string[];
}): TokenExchange {
  const { clock, usedTokens, tokenKey, audiences } = options;
  return {
    exchange: async (assertion, kind, findSubject) => {
      const subject = subjectOf(assertion);
      const { publicKey: keyBytes, refusal } = await findSubject(subject);
      const publicKey = parseEd25519PublicKey(
        keyBytes,
        kind === 'device' ? 'device' : 'service-account',
      );
      const now = new Date(clock.now());
      const { audience, verified } = await forAnyAudience(
        audiences,
        (candidate) => verifyClientAssertion(assertion, { audience: candidate, publicKey, now }),
        refuseAssertion,
      );
      if (refusal !== undefined) throw refusal;
      if (!(await usedTokens.use(`assertion ${subject} ${verified.tokenId}`, verified.forgetAt))) {
        throw unauthenticated('ASSERTION_REPLAYED', 'this assertion was used before');
      }
      const thumbprint = ed25519Thumbprint(publicKey);
      const accessToken = await createAccessToken(
        { subject, kind, thumbprint, audience, now },
        tokenKey,
      );
      return {
        accessToken,
        expireTime: new Date(now.getTime() + ACCESS_TOKEN_LIFETIME_SECONDS * 1000),
      };
    },
  };
}

function subjectOf(assertion: string): string {
  let subject: string;
  try {
    subject = readAssertionSubject(assertion);
  } catch (error) {
    return refuseAssertion(error);
  }
  if (!isUuid(subject))
    throw unauthenticated('ASSERTION_INVALID', 'the assertion names no known subject');
  return subject;
}
