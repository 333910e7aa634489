import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import { TokenServiceDefinition } from '@nexodus/contracts/api';
import type { Clock } from '@nexodus/clock';
import {
  type CallerPrivateKey,
  createClientAssertion,
  createProofOfPossession,
} from '@nexodus/device-identity';
import { createRpcClient } from '@nexodus/rpc';
import type { ServiceConnection } from './service-connection.ts';

/** Metadata of one call. */
type CallMetadata = Readonly<Record<string, string>>;

/** Access tokens that are bound to a key, and a proof for every call. */
export interface AccessTokens {
  /** Metadata for a call of the method with this path: token and fresh proof. For `RpcClientOptions.authorize`. */
  authorize(path: string): Promise<CallMetadata>;
  /** Gets a new token for the next call: the service refused the present one. */
  discard(): void;
}

/** Who authenticates, and where. */
export interface AccessTokensOptions {
  /** Device id or service-account id. */
  readonly subject: string;
  readonly key: CallerPrivateKey;
  readonly connection: ServiceConnection;
  readonly clock: Clock;
}

interface HeldToken {
  readonly text: string;
  /** When it is replaced, on the wall clock. */
  readonly renewAtMs: number;
}

/** A token is replaced this long before its end, so that no call starts with one that ends on the way. */
const RENEW_BEFORE_MS = 300_000;

/** Keeps a token: it is exchanged at the first call and again before its end; calls meanwhile share the exchange. */
export function createAccessTokens(options: AccessTokensOptions): AccessTokens {
  const { key, connection, clock } = options;
  const audience = connection.url.origin;
  let held: Promise<HeldToken> | undefined;
  const token = async (): Promise<string> => {
    const before = held;
    const present = await before?.catch(() => undefined);
    if (present !== undefined && clock.now() < present.renewAtMs) return present.text;
    // Of the calls that found the token too old, the first one exchanges and the others wait for it.
    if (held === before || held === undefined) held = exchange(options);
    return (await held).text;
  };
  return {
    authorize: async (path) => {
      const accessToken = await token();
      const now = new Date(clock.now());
      const dpop = await createProofOfPossession({ key, accessToken, audience, method: path, now });
      return { authorization: `DPoP ${accessToken}`, dpop };
    },
    discard: () => {
      held = undefined;
    },
  };
}

async function exchange(options: AccessTokensOptions): Promise<HeldToken> {
  const { subject, key, connection, clock } = options;
  const { origin: audience } = connection.url;
  const nowMs = clock.now();
  const assertion = await createClientAssertion({ subject, audience, key, now: new Date(nowMs) });
  const { accessToken, expireTime } = await present(key.purpose, connection, assertion);
  const lifetimeMs = (expireTime?.getTime() ?? nowMs) - nowMs;
  // The service may give tokens that live shorter than the margin: then half of the life counts.
  const renewAtMs = nowMs + Math.max(lifetimeMs - RENEW_BEFORE_MS, lifetimeMs / 2);
  return { text: accessToken, renewAtMs };
}

function present(
  purpose: CallerPrivateKey['purpose'],
  { channel }: ServiceConnection,
  assertion: string,
): Promise<{ accessToken: string; expireTime: Date | undefined }> {
  return purpose === 'device'
    ? createRpcClient(AgentServiceDefinition, channel).authenticate({ assertion })
    : createRpcClient(TokenServiceDefinition, channel).exchangeAssertion({ assertion });
}
