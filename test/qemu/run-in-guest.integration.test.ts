import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { GuestError } from './guest-error.ts';
import { runInGuest } from './run-in-guest.ts';

async function script(source: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-guest-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'script.ts');
  await writeFile(path, source);
  return path;
}

describe('runInGuest', { timeout: 240_000 }, () => {
  test('gives output, files and exit status of the script as they are', async () => {
    const source = `
      import { readFileSync } from 'node:fs';
      const text: string = readFileSync('in/greeting', 'utf8');
      console.log(text + process.version);
      console.error('to standard error');
      process.exitCode = 3;
    `;
    const files = { 'in/greeting': 'Grüße\\n\n' };
    const result = await runInGuest({ script: await script(source), files });
    expect(result.output).toBe(`Grüße\\n\n${process.version}\nto standard error\n`);
    expect(result.exitCode).toBe(3);
  });

  test('kills a guest that misses the deadline', async () => {
    const path = await script(`setInterval(() => undefined, 1_000);`);
    const late = runInGuest({ script: path, timeoutMs: 5_000 });
    await expect(late).rejects.toThrow(GuestError);
    await expect(late).rejects.toThrow(/did not finish within 5000 ms/);
  });

  test('says so when the guest dies before its script has ended', async () => {
    const path = await script(`
      import { writeFileSync } from 'node:fs';
      writeFileSync('/proc/sysrq-trigger', 'c');
    `);
    await expect(runInGuest({ script: path })).rejects.toThrow(/without a result[^]*sysrq/i);
  });
});
