/** How many pair sessions a relay can carry, and how many it carries. */
export interface Capacity {
  readonly capacity: number;
  readonly sessions: number;
}

/** Of a relay without lanes: it carries nothing, and says so to whoever asks. */
export const noLanes: Capacity = { capacity: 0, sessions: 0 };

/** Pair sessions that can still be taken. */
export function freeSessions({ capacity, sessions }: Capacity): number {
  return Math.max(0, capacity - sessions);
}
