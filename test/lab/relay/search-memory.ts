import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';

const CHUNK_BYTES = 4 * 1024 * 1024;

/** What of these texts the readable memory of a process holds; nothing when the process has ended. */
export function searchMemory(pid: number, texts: readonly Buffer[]): readonly Buffer[] {
  if (!existsSync(`/proc/${pid}`)) return [];
  // A text may begin in one chunk and end in the next.
  const overlap = Math.max(...texts.map(({ length }) => length)) - 1;
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  let missing = texts;
  try {
    for (const { at, length } of readableChunks(pid)) {
      const bytes = readAt(memory, at, length + overlap);
      missing = missing.filter((text) => !bytes.includes(text));
    }
  } finally {
    closeSync(memory);
  }
  return texts.filter((text) => !missing.includes(text));
}

interface Chunk {
  readonly at: bigint;
  readonly length: number;
}

/** Lines of /proc/PID/maps: `start-end perms offset dev inode path` (proc(5)). */
function* readableChunks(pid: number): Generator<Chunk> {
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line);
    if (match === null || /\[v(var|syscall)/.test(line)) continue;
    yield* chunksOf(BigInt(`0x${match[1]}`), BigInt(`0x${match[2]}`));
  }
}

function* chunksOf(start: bigint, end: bigint): Generator<Chunk> {
  for (let at = start; at < end; at += BigInt(CHUNK_BYTES)) {
    const left = end - at;
    yield { at, length: left < CHUNK_BYTES ? Number(left) : CHUNK_BYTES };
  }
}

function readAt(memory: number, at: bigint, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  try {
    return bytes.subarray(0, readSync(memory, bytes, 0, length, at));
  } catch {
    // Pages that are gone, or that no one may read.
    return Buffer.alloc(0);
  }
}
