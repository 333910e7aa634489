import { ManualClock } from '@nexodus/clock';
import type { Peer } from '@nexodus/contracts/nexd';
import { expect, test, vi } from 'vitest';
import { watchPeers, type WatchOptions } from './watch-peers.ts';

const web: Peer = {
  deviceId: 'd',
  hostname: 'web',
  ipv4Address: '100.64.0.2',
  ipv6Address: '',
  online: true,
  endpoint: '',
  latestHandshakeSeconds: 0n,
  rxBytes: 0n,
  txBytes: 0n,
  wireguardPublicKey: '',
  refused: '',
  pathKind: '',
  relayId: '',
  pathReason: '',
};

/** Shows these lists one second after the other; gives what was written at each. */
async function watch(
  lists: readonly (readonly Peer[])[],
  options: Partial<Pick<WatchOptions, 'output'>> & { readonly columns?: number } = {},
): Promise<string[]> {
  const clock = new ManualClock(Date.UTC(2026, 0, 1));
  const abort = new AbortController();
  const written: string[] = [];
  let shown = 0;
  const { columns } = options;
  const watching = watchPeers({
    list: async () => {
      written.push('');
      const list = lists[shown] ?? [];
      shown += 1;
      return list;
    },
    output: options.output ?? 'table',
    screen: {
      size: () => (columns === undefined ? undefined : { columns, rows: 20 }),
      write: (text) => void (written[written.length - 1] += text),
    },
    signal: abort.signal,
    clock,
  });
  for (let second = 1; second < lists.length; second += 1) {
    await vi.waitFor(() => expect(clock.pendingTimers).toBe(1));
    clock.advance(1_000);
  }
  await vi.waitFor(() => expect(clock.pendingTimers).toBe(1));
  abort.abort();
  await watching;
  return written;
}

test('on a terminal only lines that changed are written anew', async () => {
  const [first, second, third] = await watch([[web], [web], [{ ...web, rxBytes: 9n }]], {
    columns: 200,
  });
  expect(first).toMatch(/HOSTNAME[^\n]*\n[^\n]*web [^\n]*\n/);
  expect(second).toBe('');
  expect(third).toMatch(/web .* 9 /);
  expect(third).not.toMatch(/HOSTNAME/);
});

test('elsewhere a line with its time is written for each peer that changed', async () => {
  const written = await watch([[web], [web], [{ ...web, online: false }], []]);
  expect(written).toEqual([
    '2026-01-01 00:00:00Z web: ipv4 100.64.0.2, online yes, received 0, sent 0\n',
    '',
    '2026-01-01 00:00:02Z web: ipv4 100.64.0.2, online no, received 0, sent 0\n',
    '2026-01-01 00:00:03Z web: gone\n',
  ]);
});

test('as data there is one document for each change', async () => {
  const json = await watch([[web], [web], []], { output: 'json' });
  expect(json.map((text) => (text === '' ? undefined : (JSON.parse(text) as unknown)))).toEqual([
    [expect.objectContaining({ hostname: 'web' })],
    undefined,
    [],
  ]);
  const yaml = await watch([[web]], { output: 'yaml' });
  expect(yaml[0]).toMatch(/^---\n- .*\n/);
});

test('names that would move the cursor do not', async () => {
  const [line] = await watch([[{ ...web, hostname: 'a\x1b[2J' }]]);
  expect(line).toContain('a?[2J');
});
