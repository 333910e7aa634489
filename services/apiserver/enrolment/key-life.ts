/** Life of a device key, in seconds (protocol.md: 180 days). */
const deviceKeyLifeSeconds = 180 * 86_400;

/** The end of a device key's life that begins now; in whole seconds, as the change log keeps it. */
export function endOfKeyLife(nowMs: number): Date {
  return new Date((Math.floor(nowMs / 1000) + deviceKeyLifeSeconds) * 1000);
}
