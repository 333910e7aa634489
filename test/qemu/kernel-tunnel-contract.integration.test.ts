import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runInGuest } from './run-in-guest.ts';

const SCRIPT = fileURLToPath(new URL('kernel-tunnel-contract.guest.ts', import.meta.url));

test('kernel WireGuard keeps the contract of Tunnel', { timeout: 240_000 }, async () => {
  const result = await runInGuest({ script: SCRIPT });
  expect(result).toMatchObject({ exitCode: 0 });
  expect(result.output).toMatch(/^ℹ pass [1-9]/m);
});
