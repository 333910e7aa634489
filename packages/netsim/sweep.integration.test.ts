import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createVirtualNetwork, namespaceNames, processesIn, sweep } from './index.ts';

const index = fileURLToPath(new URL('index.ts', import.meta.url));

/** Opens a network with one host that runs something, says so, and waits to be killed. */
const OWNER = `
const { createVirtualNetwork } = await import(process.argv[1]);
const network = await createVirtualNetwork();
const lan = await network.switch('lan', { ipv4: '10.77.0.0/24' });
const host = await network.host('a', [{ switch: lan }]);
await host.spawn('sleep', ['1000']);
console.log(network.id);
`;

test('sweep removes what a killed owner left, with its processes, and leaves living networks alone', async () => {
  await using living = await createVirtualNetwork();
  const owner = spawn('node', ['--input-type=module', '-e', OWNER, index], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(owner.stdout, 'data');
  const id = String(line).trim();
  const left = async () =>
    (await namespaceNames()).filter((name) => name.startsWith(`${id}-`)).toSorted();
  expect(await left()).toEqual([`${id}-a`, `${id}-switches`]);
  expect((await processesIn(`${id}-a`)).length).toBeGreaterThan(0);

  owner.kill('SIGKILL');
  await once(owner, 'exit');
  // Another test's network may sweep first: what counts is that nothing is left.
  await sweep();
  await expect.poll(left, { timeout: 5_000 }).toEqual([]);
  expect(await namespaceNames()).toContain(`${living.id}-switches`);
});
