/** Whether anything uses the tunnel: while nothing does, nothing is sent to keep it up. */

/** What was seen of the tunnel's traffic. */
export interface TunnelActivity {
  /** Bytes of all peers, both ways. */
  readonly bytes: number;
  /** When they were others than before. */
  readonly movedAtMs: number;
}

/** A tunnel of which nothing was seen. */
export const NO_ACTIVITY: TunnelActivity = { bytes: 0, movedAtMs: -Infinity };

/** A pause of this length is idleness: shorter than any NAT forgets a mapping, longer than people think between two words. */
const IDLE_MS = 20_000;

/** Takes a reading in. Never throws. */
export function noteTraffic(before: TunnelActivity, bytes: number, nowMs: number): TunnelActivity {
  return bytes === before.bytes ? before : { bytes, movedAtMs: nowMs };
}

/** Whether the tunnel is in use at this moment. */
export function isTunnelActive({ movedAtMs }: TunnelActivity, nowMs: number): boolean {
  return nowMs - movedAtMs < IDLE_MS;
}
