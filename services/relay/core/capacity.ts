/** How many pair sessions a relay can carry, and how many it carries. */
export interface Capacity {
  readonly capacity: number;
  readonly sessions: number;
}

/** Pair sessions that can still be taken. */
export function freeSessions({ capacity, sessions }: Capacity): number {
  return Math.max(0, capacity - sessions);
}
