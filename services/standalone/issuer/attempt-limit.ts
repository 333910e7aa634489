import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

/** How many attempts are let through in how many seconds. */
interface Window {
  points: number;
  duration: number;
}

/** What is guessed, and how often that may be tried by one source, and on one target from everywhere. */
const limits: Readonly<Record<'password' | 'code', { source: Window; target: Window }>> = {
  /** Above what a person mistypes; 2,880 guesses a day. */
  password: { source: { points: 10, duration: 60 }, target: { points: 30, duration: 900 } },
  /** Codes have 34 bits and live 10 minutes (RFC 8628 section 5.1); a login sends two forms. */
  code: { source: { points: 20, duration: 60 }, target: { points: 600, duration: 900 } },
};

/** Slows down who guesses passwords or codes. */
export interface AttemptLimit {
  /** Counts an attempt; returns how long to wait in seconds when there were too many, else undefined. */
  attempt(source: string, target: string): Promise<number | undefined>;
  /** Forgets the attempts of one that succeeded. */
  succeeded(source: string, target: string): Promise<void>;
}

/** Limits in the memory of this process. */
export function createAttemptLimit(guessed: keyof typeof limits): AttemptLimit {
  const bySource = new RateLimiterMemory(limits[guessed].source);
  const byTarget = new RateLimiterMemory(limits[guessed].target);
  return {
    attempt: async (source, target) => {
      const waits = await Promise.all([
        waitSeconds(() => bySource.consume(source)),
        waitSeconds(() => byTarget.consume(target)),
      ]);
      return waits.find((wait) => wait !== undefined);
    },
    succeeded: async (source, target) => {
      await Promise.all([bySource.delete(source), byTarget.delete(target)]);
    },
  };
}

/** The library rejects with its result, not with an error, when a limit is reached. */
async function waitSeconds(consume: () => Promise<unknown>): Promise<number | undefined> {
  try {
    await consume();
    return undefined;
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) return Math.ceil(refusal.msBeforeNext / 1_000);
    throw refusal;
  }
}
