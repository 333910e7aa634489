import { RpcError, Status } from '@nexodus/rpc';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

/** Requests without authentication that one source may make, in a minute: a rack of machines behind one NAT enrols at once. */
const requestsPerMinute = 300;

/**
 * Limits calls that carry no identity, by source address, on this replica.
 *
 * @returns a function that rejects with RESOURCE_EXHAUSTED and the time to wait
 */
export function createAnonymousLimit(): (source: string) => Promise<void> {
  const limiter = new RateLimiterMemory({ points: requestsPerMinute, duration: 60 });
  return async (source) => {
    try {
      await limiter.consume(source);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      throw new RpcError(
        Status.RESOURCE_EXHAUSTED,
        'too many requests from this address: slow down',
        {
          reason: 'SOURCE_RATE_LIMITED',
          retryAfterMs: error.msBeforeNext,
        },
      );
    }
  };
}
