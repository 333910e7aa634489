/** Wait before the next attempt in milliseconds: doubles from 5 to 1,000, of which a random half is taken off. */
export function retryDelayMs(attempt: number, random: number): number {
  const ceiling = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** Math.min(attempt, 16));
  return ceiling * (0.5 + random / 2);
}

/** What is not there yet, such as a revision that policy has still to follow to, is mostly there within milliseconds. */
const BASE_DELAY_MS = 5;

/** Upper bound, so that everything goes on within a second or so once what failed is back. */
const MAX_DELAY_MS = 1_000;
