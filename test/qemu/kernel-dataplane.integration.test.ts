import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runInGuest } from './run-in-guest.ts';

const SCRIPT = fileURLToPath(new URL('kernel-dataplane.guest.ts', import.meta.url));

test(
  'the data plane carries, filters, outlives nexd and leaves nothing on kernel WireGuard',
  { timeout: 240_000 },
  async () => {
    const result = await runInGuest({ script: SCRIPT });
    expect(result).toMatchObject({ exitCode: 0 });
    const lines = result.output.trim().split('\n');
    const steps: unknown = Object.assign({}, ...lines.map((line) => JSON.parse(line)));
    expect(steps).toEqual({
      technology: 'kernel',
      introduced: [
        [3, 3],
        [3, 3],
      ],
      withoutPolicy: [0, 0],
      droppedSix: true,
      unshown: [0, 0],
      peersOfB: '',
      shownAgain: [
        [3, 3],
        [3, 3],
      ],
      lostByRestart: [],
      remains: [
        ['', '', '', ''],
        ['', '', '', ''],
      ],
    });
  },
);
