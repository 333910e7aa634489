import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { removeTunnelFiles } from './tunnel-files.ts';

let base: string;

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'nexd-tunnel-'));
});

afterEach(() => rm(base, { recursive: true, force: true }));

test('only the own files of the tunnel go, and their folder when it is empty', async () => {
  const folder = join(base, 'tunnel');
  await mkdir(folder);
  const names = ['wireguard-go-nx0.log', 'wireguard-go-nx0.pid', 'wg-set-nx0.key'];
  for (const name of [...names, 'plans.txt']) await writeFile(join(folder, name), '');
  await removeTunnelFiles(folder, 'nx0');
  expect(await readdir(folder)).toEqual(['plans.txt']);
  await rm(join(folder, 'plans.txt'));
  await removeTunnelFiles(folder, 'nx0');
  expect(await readdir(base)).toEqual([]);
  await removeTunnelFiles(folder, 'nx0');
});
