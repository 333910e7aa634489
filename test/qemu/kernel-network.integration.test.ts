import type { PingResult } from '@nexodus/netsim';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runInGuest } from './run-in-guest.ts';

const SCRIPT = fileURLToPath(new URL('kernel-network.guest.ts', import.meta.url));

/** What kernel-network.guest.ts prints. */
type Report = {
  readonly kernel: string;
  readonly tunnel4: PingResult;
  readonly tunnel6: PingResult;
  readonly encrypted: number;
  readonly delayed: PingResult;
};

test(
  'the guest pings over kernel WireGuard on both families and its netem delays packets',
  { timeout: 240_000 },
  async () => {
    const result = await runInGuest({ script: SCRIPT });
    expect(result).toMatchObject({ exitCode: 0 });
    const report = Object.assign(
      {},
      ...result.output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ) as Report; // our own script's
    expect(report.kernel).toBe(process.env['NEXODUS_TEST_KERNEL_MODULES']?.split('/').at(-1));
    expect(report.tunnel4).toMatchObject({ sent: 5, received: 5 });
    expect(report.tunnel6).toMatchObject({ sent: 5, received: 5 });
    // Two packets of handshake and two per echo.
    expect(report.encrypted).toBeGreaterThanOrEqual(22);
    expect(report.delayed.received).toBe(5);
    expect(Math.min(...report.delayed.rttMs)).toBeGreaterThanOrEqual(100);
    expect(Math.min(...report.tunnel4.rttMs)).toBeLessThan(100);
  },
);
