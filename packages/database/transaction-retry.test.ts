import { ManualClock } from '@nexodus/clock';
import { expect, test } from 'vitest';

import { withRetry } from './transaction-retry.ts';

const policy = { maxAttempts: 4, baseDelayMs: 10, maxDelayMs: 30 };

test('waits are drawn below a bound that doubles up to its maximum, and the last error comes out', async () => {
  const waits: number[] = [];
  const clock = new ManualClock();
  clock.wait = (delayMs) => Promise.resolve(void waits.push(delayMs));
  const attempts: number[] = [];
  const result = withRetry(
    (number) => {
      attempts.push(number);
      return Promise.reject(new Error(`failure ${number}`));
    },
    { policy, clock, random: () => 0.5, isRetryable: () => true },
  );
  await expect(result).rejects.toThrow('failure 4');
  expect(attempts).toEqual([1, 2, 3, 4]);
  expect(waits).toEqual([5, 10, 15]);
});

test('what is not retryable fails at once', async () => {
  const options = { policy, clock: new ManualClock(), random: () => 0, isRetryable: () => false };
  await expect(withRetry(() => Promise.reject(new Error('no')), options)).rejects.toThrow('no');
});

test('no attempt is begun after the signal', async () => {
  const controller = new AbortController();
  const clock = new ManualClock();
  const result = withRetry(
    () => {
      controller.abort(new Error('enough'));
      return Promise.reject(new Error('conflict'));
    },
    {
      policy,
      clock,
      random: () => 0.5,
      isRetryable: (error) => error instanceof Error && error.message === 'conflict',
      signal: controller.signal,
    },
  );
  await expect(result).rejects.toThrow('enough');
});
