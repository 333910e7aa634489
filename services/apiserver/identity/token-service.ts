import type {
  ServiceInfoServiceImplementation,
  TokenServiceImplementation,
} from '@nexodus/contracts/api';
import type { Clock } from '@nexodus/clock';
import type { Database } from '@nexodus/database';
import { unauthenticated } from '@nexodus/rpc';
import type { CallLimit } from './call-limit.ts';
import type { Caller } from './caller.ts';
import type { TrustedIssuer } from './oidc-verifier.ts';
import type { TokenExchange } from './token-exchange.ts';

/** Handlers of nexodus.api.v1.TokenService. */
export function createTokenService(options: {
  database: Database;
  tokenExchange: TokenExchange;
  anonymousLimit: CallLimit;
}): TokenServiceImplementation<{ identity: Caller }> {
  const { database, tokenExchange, anonymousLimit } = options;
  return {
    exchangeAssertion: async ({ assertion }, { identity }) => {
      anonymousLimit.count(identity.source);
      const token = await tokenExchange.exchange(assertion, 'service_account', async (id) => {
        const row = await database
          .knex('service_accounts')
          .where({ id })
          .first('public_key', 'disabled');
        const refusal = unauthenticated(
          'ACCOUNT_DISABLED',
          'this service account was disabled or deleted',
        );
        if (row === undefined) throw refusal;
        return { publicKey: row.public_key, refusal: row.disabled === true ? refusal : undefined };
      });
      anonymousLimit.giveBack(identity.source);
      return token;
    },
  };
}

/** Handlers of nexodus.api.v1.ServiceInfoService. */
export function createServiceInfoService(options: {
  clock: Clock;
  version: string;
  audiences: readonly string[];
  issuers: readonly TrustedIssuer[];
  consoleUrl: string;
}): ServiceInfoServiceImplementation<{ identity: Caller }> {
  const { clock, version, audiences, issuers, consoleUrl } = options;
  return {
    getServiceInfo: () =>
      Promise.resolve({
        version,
        audiences: [...audiences],
        issuers: issuers.map(({ url, clientId }) => ({
          url,
          clientId,
          scopes: ['openid', 'email', 'profile', 'offline_access'],
        })),
        consoleUrl,
        serverTimeMs: BigInt(clock.now()),
      }),
  };
}
