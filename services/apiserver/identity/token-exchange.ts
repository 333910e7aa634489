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
import { unauthenticated } from '@nexodus/rpc';
import { isUuid } from '../core/uuid.ts';
import { forAnyAudience, refuseToken } from './token-refusal.ts';
import type { UsedTokens } from './used-tokens.ts';

/** Exchanges assertions for access tokens. */
export interface TokenExchange {
  /**
   * Verifies an assertion by the subject's present key, uses it up, and issues a token bound to that key.
   *
   * @param findKey the subject's present public key; throws the refusal when it may not authenticate
   * @throws {RpcError} UNAUTHENTICATED
   */
  exchange(
    assertion: string,
    kind: AccessTokenKind,
    findKey: (subject: string) => Promise<Uint8Array>,
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
    exchange: async (assertion, kind, findKey) => {
      const subject = subjectOf(assertion);
      const publicKey = parseEd25519PublicKey(
        await findKey(subject),
        kind === 'device' ? 'device' : 'service-account',
      );
      const now = new Date(clock.now());
      const { audience, verified } = await forAnyAudience(audiences, (candidate) =>
        verifyClientAssertion(assertion, { audience: candidate, publicKey, now }),
      );
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
    return refuseToken(error);
  }
  if (!isUuid(subject))
    throw unauthenticated('ASSERTION_INVALID', 'the assertion names no known subject');
  return subject;
}
