import { TokenError } from '@nexodus/device-identity';
import { RpcError, Status, unauthenticated } from '@nexodus/rpc';

/** Words a refused token for the caller; throws what is no refusal as it is. */
export function refuseToken(error: unknown): never {
  const { reason, message } = refusalIn(error);
  throw unauthenticated(reason === 'expired' ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID', message);
}

/** Words a refused assertion for the caller; throws what is no refusal as it is. */
export function refuseAssertion(error: unknown): never {
  throw unauthenticated('ASSERTION_INVALID', refusalIn(error).message);
}

/** The refusal that an error is; throws a clock that is off, and what is no refusal. */
function refusalIn(error: unknown): TokenError {
  if (!(error instanceof TokenError)) throw error;
  if (error.reason !== 'clock-skew') return error;
  const skew = error.skewSeconds;
  const metadata = skew === undefined ? undefined : { skew_seconds: String(skew) };
  throw new RpcError(
    Status.UNAUTHENTICATED,
    "your clock and the service's differ by more than 60 s: set your clock",
    { reason: 'CLOCK_SKEW', metadata },
  );
}

/** Verifies for the first audience that fits: the service may be known by several origins. */
export async function forAnyAudience<T>(
  audiences: readonly string[],
  verify: (audience: string) => Promise<T>,
  refuse: (error: unknown) => never = refuseToken,
): Promise<{ audience: string; verified: T }> {
  let refusal: unknown;
  for (const audience of audiences) {
    try {
      return { audience, verified: await verify(audience) };
    } catch (error) {
      refusal = error;
      if (!(error instanceof TokenError && error.reason === 'wrong-claim')) break;
    }
  }
  return refuse(refusal);
}
