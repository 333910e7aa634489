import { readFile } from 'node:fs/promises';

/**
 * Whether `id` exists by the `/proc/<pid>/uid_map` or `gid_map` of a process (user_namespaces(7)): lines of first id
 * inside, first id outside, count.
 */
export function isMapped(id: number, map: string): boolean {
  return map.split('\n').some((line) => {
    const [first = Number.NaN, , count = 0] = line.trim().split(/\s+/).map(Number);
    return id >= first && id < first + count;
  });
}

/**
 * Whether this process could become the user and group `id`: root of a user namespace may map no more than itself. A
 * kernel without user namespaces has every id.
 */
export async function existsHere(id: number): Promise<boolean> {
  const everyId = '0 0 4294967295';
  const read = (name: string): Promise<string> =>
    readFile(`/proc/self/${name}`, 'utf8').catch(() => everyId);
  const maps = await Promise.all([read('uid_map'), read('gid_map')]);
  return maps.every((map) => isMapped(id, map));
}
