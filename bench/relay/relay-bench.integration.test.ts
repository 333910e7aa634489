import { expect, test } from 'vitest';
import { relayBench } from './relay-bench.ts';

const frame = { report: () => undefined, signal: new AbortController().signal };

test('lanes of each kind relay WireGuard and datagrams, and each has a line', async () => {
  const text = await relayBench.run({
    ...frame,
    args: ['--only', 'nft,tls,coturn', '--rounds', '1', '--seconds', '1'],
  });
  for (const lane of ['nft', 'tls', 'coturn']) {
    const lines = text.split('\n').filter((line) => line.startsWith(`│ ${lane} `));
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).toMatch(/ \d+ \(\d+\) /);
  }
  expect(text).toMatch(/│ library +│ +10000 │/);
  expect(text).toMatch(/│ nft: TCP of coturn >= 3.5x /);
});

test.each([
  [['--only', 'carrier-pigeon'], /no lane "carrier-pigeon"/],
  [['--seconds', '0'], /--seconds is a whole number/],
  [['--fast'], /--fast/],
])('a command line that it does not understand, %j, is refused', async (args, words) => {
  await expect(relayBench.run({ ...frame, args })).rejects.toThrow(words);
});
