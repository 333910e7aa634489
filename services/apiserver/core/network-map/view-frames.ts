import type { ViewEntries, ViewEntry } from '@nexodus/contracts/agent';

/** A frame goes out whole, so that nothing else waits long behind it; far below the largest message of the RPC layer. */
const FRAME_BYTES = 128 * 1024;

/** Key, lengths and tags of an entry take about this much besides its value. */
const ENTRY_OVERHEAD_BYTES = 64;

/** Entries in order, in as few frames as their size allows. No entries give no frame. */
export function framesOf(entries: Iterable<ViewEntry>): ViewEntries[] {
  const frames: ViewEntries[] = [];
  let frame: ViewEntry[] = [];
  let size = 0;
  for (const entry of entries) {
    const bytes = entry.value.length + ENTRY_OVERHEAD_BYTES;
    if (frame.length > 0 && size + bytes > FRAME_BYTES) {
      frames.push({ entries: frame });
      frame = [];
      size = 0;
    }
    frame.push(entry);
    size += bytes;
  }
  if (frame.length > 0) frames.push({ entries: frame });
  return frames;
}
