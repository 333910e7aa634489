import type { ViewEntries, ViewEntry } from '@nexodus/contracts/agent';

/** A frame goes out whole, so that nothing else waits long behind it; far below the largest message of the RPC layer. */
const FRAME_BYTES = 128 * 1024;

/** Key, lengths and tags of an entry take about this much besides its value. */
const ENTRY_OVERHEAD_BYTES = 64;

/** How many frames `framesOf` makes of these entries, which costs none of them. */
export function countFrames(entries: Iterable<ViewEntry>): number {
  const cuts = new FrameCuts();
  let count = 0;
  for (const entry of entries) if (cuts.isBefore(entry)) count += 1;
  return count;
}

/**
 * Entries in order, in as few frames as their size allows, each made when it is asked for: a stream that takes nothing
 * holds one. No entries give no frame.
 */
export function* framesOf(entries: Iterable<ViewEntry>): Generator<ViewEntries> {
  const cuts = new FrameCuts();
  let frame: ViewEntry[] = [];
  for (const entry of entries) {
    if (cuts.isBefore(entry) && frame.length > 0) {
      yield { entries: frame };
      frame = [];
    }
    frame.push(entry);
  }
  if (frame.length > 0) yield { entries: frame };
}

class FrameCuts {
  #size = 0;

  /** Whether the next entry begins a frame. To be asked for each entry once, in order. */
  isBefore(entry: ViewEntry): boolean {
    const bytes = entry.value.length + ENTRY_OVERHEAD_BYTES;
    const isFirst = this.#size === 0 || this.#size + bytes > FRAME_BYTES;
    this.#size = isFirst ? bytes : this.#size + bytes;
    return isFirst;
  }
}
