import { expect, test } from 'vitest';
import { stunBench } from './stun-bench.ts';

test('each server answers for a moment, and each has a line', async () => {
  const steps: string[] = [];
  const table = await stunBench.run({
    args: ['--rounds', '1', '--seconds', '0.1'],
    report: (step) => steps.push(step),
    signal: new AbortController().signal,
  });
  const servers = ['coturn -m 0', 'coturn -m 1', 'ours, koffi', 'ours, dgram'];
  for (const server of servers) expect(table).toMatch(new RegExp(`${server} *│ +[\\d,]{4,} │`));
  expect(steps).toHaveLength(servers.length);
});

test.each([['--rounds', '0'], ['--seconds', 'x'], ['--wrong'], ['extra']])(
  'the argument %s %s is refused',
  async (...args) => {
    const run = stunBench.run({ args, report: () => {}, signal: new AbortController().signal });
    await expect(run).rejects.toThrow(Error);
  },
);
