/** What one element of a set counted. */
export interface ElementCount {
  readonly packets: number;
  readonly bytes: number;
}

/** A key, a limit where there is one, and what was counted. */
const COUNTED =
  /(0x[0-9a-f]+|[0-9a-f:.]+ \. \d+ \. \d+)(?: limit rate [^,:]*?)? counter packets (\d+) bytes (\d+)/g;

/** Reads the counters of elements, by their key, from what `get element` prints. A mark is a key as a number would be. */
export function parseElementCounters(text: string): ReadonlyMap<string, ElementCount> {
  const counts = [...text.matchAll(COUNTED)].map(([, key = '', packets, bytes]) => {
    const name = key.startsWith('0x') ? `0x${Number(key).toString(16)}` : key;
    return [name, { packets: Number(packets), bytes: Number(bytes) }] as const;
  });
  return new Map(counts);
}
