import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCommandRunner } from './command-runner.ts';

const runner = createCommandRunner();

describe('createCommandRunner', () => {
  test('gives standard input and takes standard output', async () => {
    const result = await runner.run('cat', [], { stdin: 'one\ntwo\n' });
    expect(result).toEqual({ exitCode: 0, stdout: 'one\ntwo\n', stderr: '' });
  });

  test('passes arguments as they are, without a shell', async () => {
    const { stdout } = await runner.run('printf', ['%s', '$(id); `id` "quoted" *']);
    expect(stdout).toBe('$(id); `id` "quoted" *');
  });

  test('hands on no variable but the search path and the locale', async () => {
    const { stdout } = await runner.run('env', []);
    expect(stdout.split('\n').map((line) => line.split('=')[0])).toEqual(['PATH', 'LC_ALL', '']);
  });

  test('names the Debian package of a missing program', async () => {
    const bare = createCommandRunner({ searchPath: '/nowhere' });
    const missing = bare.run('nft', ['list', 'tables']);
    await expect(missing).rejects.toMatchObject({ reason: 'command-missing' });
    await expect(missing).rejects.toMatchObject({ remedy: 'Install the Debian package nftables.' });
  });

  test('fails with what the command said on standard error and nothing of its input', async () => {
    const failed = runner.run('cat', ['/nonexistent'], { stdin: 'secret' });
    await expect(failed).rejects.toMatchObject({ reason: 'command-failed' });
    await expect(failed).rejects.toThrow(/exit code 1: .*cat: \/nonexistent: No such file/);
    await expect(failed).rejects.not.toThrow(/secret/);
    expect((await runner.probe('cat', ['/nonexistent'])).exitCode).toBe(1);
  });

  test('kills what takes too long', async () => {
    const slow = runner.run('tail', ['-f', '/dev/null'], { timeoutMs: 50 });
    await expect(slow).rejects.toThrow(/was killed/);
  });

  test('follows lines until told to stop', async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    await runner.follow('yes', ['line'], {
      onLine: (line) => {
        lines.push(line);
        stop.abort();
      },
      signal: stop.signal,
    });
    expect(lines[0]).toBe('line');
  });

  describe('with a prefix', () => {
    test('runs the prefix with the program found on this machine', async () => {
      const prefixed = createCommandRunner({ prefix: ['env', '-i', 'MARK=1'] });
      expect((await prefixed.run('env', [])).stdout).toBe('MARK=1\n');
      expect(prefixed.isLocal).toBe(false);
    });
  });

  describe('startDetached', () => {
    let folder = '';
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'nexodus-runner-'));
    });
    afterEach(async () => {
      await rm(folder, { recursive: true });
    });

    test('starts a process in a session of its own and tells when it ends', async () => {
      const started = await runner.startDetached('cat', ['-'], join(folder, 'log'));
      expect(started.pid).toBeGreaterThan(1);
      await started.exited;
    });
  });
});
