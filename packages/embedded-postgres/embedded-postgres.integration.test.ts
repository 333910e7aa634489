import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';
import type { EmbeddedPostgresLogger } from './server-log.ts';

let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'nexodus-embedded-'));
});

afterEach(() => rm(dataDir, { recursive: true, force: true }));

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

function refusal(code: string): object {
  return expect.objectContaining({ name: 'EmbeddedPostgresError', code });
}

function loggerOf(warnings: string[]): EmbeddedPostgresLogger {
  const ignore = (): void => {};
  return {
    debug: ignore,
    info: ignore,
    warn: (_fields, message) => void warnings.push(message),
    error: ignore,
  };
}

/** Another process that starts a server on the same data directory and stores a row. */
async function startOwner(): Promise<{ kill: () => Promise<void>; postmaster: number }> {
  const script = `
    import { startEmbeddedPostgres } from '${pathToFileURL(join(import.meta.dirname, 'index.ts')).href}';
    import { Client } from '${import.meta.resolve('pg')}';
    const server = await startEmbeddedPostgres({ dataDir: process.argv[1] });
    const client = new Client(server.url());
    await client.connect();
    await client.query('CREATE TABLE kept (id int)');
    await client.query('INSERT INTO kept VALUES (1)');
    console.log(server.pid);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const kill = async (): Promise<void> => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return { kill, postmaster: Number(line.toString()) };
}

describe('startEmbeddedPostgres', () => {
  test('finds its data again after a clean stop', async () => {
    const first = await startEmbeddedPostgres({ dataDir });
    const url = await first.createDatabase('nexodus');
    await query(url, 'CREATE TABLE kept AS SELECT 1 AS id');
    await first.stop();
    const second = await startEmbeddedPostgres({ dataDir });
    expect(await query(second.url('nexodus'), 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
    expect(await second.createDatabase('nexodus')).toBe(url);
    await second.stop();
  });

  test('listens on a unix socket alone, in a directory only its owner can enter', async () => {
    const server = await startEmbeddedPostgres({ dataDir });
    expect((await stat(server.connection.host)).mode & 0o777).toBe(0o700);
    expect(await query(server.url(), 'SHOW listen_addresses')).toEqual([{ listen_addresses: '' }]);
    expect(await query(server.url(), 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
    await server.stop();
  });

  test('lets the same peer be any role that exists', async () => {
    const server = await startEmbeddedPostgres({ dataDir });
    await query(server.url(), 'CREATE ROLE ipam LOGIN');
    expect(
      await query(server.url('postgres', 'ipam'), 'SELECT current_user::text AS name'),
    ).toEqual([{ name: 'ipam' }]);
    await server.stop();
  });

  test('refuses a data directory that another instance uses, which goes on', async () => {
    const first = await startEmbeddedPostgres({ dataDir });
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toEqual(
      refusal('DATA_DIRECTORY_IN_USE'),
    );
    expect(await query(first.url(), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await first.stop();
  });

  test('lets one of several simultaneous starts win', async () => {
    const starts = await Promise.allSettled(
      [1, 2, 3].map(() => startEmbeddedPostgres({ dataDir })),
    );
    const winners = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    expect(winners).toHaveLength(1);
    await winners[0]?.stop();
  });

  test('loses nothing committed when its owner is killed', async () => {
    const owner = await startOwner();
    await owner.kill();
    const server = await startEmbeddedPostgres({ dataDir });
    expect(await query(server.url(), 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
    await server.stop();
  });

  test('waits for the server of a killed owner to end before it starts its own', async () => {
    const owner = await startOwner();
    process.kill(owner.postmaster, 'SIGSTOP');
    await owner.kill();
    const warnings: string[] = [];
    const starting = startEmbeddedPostgres({ dataDir, logger: loggerOf(warnings) });
    const told = ['an earlier run left a postgres behind: it is ended first'];
    await expect.poll(() => warnings, { timeout: 20_000 }).toEqual(told);
    process.kill(owner.postmaster, 'SIGCONT');
    const server = await starting;
    expect(await query(server.url(), 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
    await server.stop();
  });

  test('recovers from the kill of owner and server together', async () => {
    const owner = await startOwner();
    process.kill(owner.postmaster, 'SIGKILL');
    await owner.kill();
    const server = await startEmbeddedPostgres({ dataDir });
    expect(await query(server.url(), 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
    await server.stop();
  });

  test('says when the server ends on its own, and can be started again', async () => {
    const ended = Promise.withResolvers<EmbeddedPostgresError>();
    const first = await startEmbeddedPostgres({ dataDir, onUnexpectedExit: ended.resolve });
    process.kill(first.pid, 'SIGKILL');
    expect(await ended.promise).toEqual(refusal('START_FAILED'));
    await first.stop();
    const second = await startEmbeddedPostgres({ dataDir });
    await second.stop();
  });

  test('is not misled by a pid file that names a living process of somebody else', async () => {
    const first = await startEmbeddedPostgres({ dataDir });
    await first.stop();
    await writeFile(join(dataDir, 'postgres/data/postmaster.pid'), `${process.pid}\n`);
    const second = await startEmbeddedPostgres({ dataDir });
    await second.stop();
  });

  test('refuses the data of another major version', async () => {
    await mkdir(join(dataDir, 'postgres/data'), { recursive: true });
    await writeFile(join(dataDir, 'postgres/data/PG_VERSION'), '15\n');
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toEqual(
      refusal('INCOMPATIBLE_VERSION'),
    );
  });

  test('refuses to start on a full disk and can be started when there is room', async () => {
    const full = startEmbeddedPostgres({ dataDir, minimumFreeBytes: Number.MAX_SAFE_INTEGER });
    await expect(full).rejects.toEqual(refusal('DISK_FULL'));
    const server = await startEmbeddedPostgres({ dataDir });
    await server.stop();
  });

  test('makes a cluster anew where an earlier attempt was interrupted', async () => {
    await mkdir(join(dataDir, 'postgres/data.new/base'), { recursive: true });
    const server = await startEmbeddedPostgres({ dataDir });
    await server.stop();
    expect(await readdir(join(dataDir, 'postgres'))).not.toContain('data.new');
  });

  test('runs as root of a user namespace that has no other user', async () => {
    const script = `
      import { startEmbeddedPostgres } from '${pathToFileURL(join(import.meta.dirname, 'index.ts')).href}';
      import { Client } from '${import.meta.resolve('pg')}';
      const server = await startEmbeddedPostgres({ dataDir: process.argv[1] });
      const client = new Client(server.url());
      await client.connect();
      const { rows } = await client.query("SELECT pg_read_file('/proc/self/uid_map') AS map");
      await client.end();
      await server.stop();
      console.log(rows[0].map.trim().split(/ +/).join(' '));
    `;
    const node = [process.execPath, '--input-type=module', '--eval', script, dataDir];
    const command = ['--user', '--map-root-user', '--', ...node];
    const { stdout } = await promisify(execFile)('unshare', command);
    expect(stdout).toBe('60989 0 1\n');
  });

  test('puts the socket elsewhere where its path would be too long, and takes it away again', async () => {
    const deep = join(dataDir, 'd'.repeat(100));
    const server = await startEmbeddedPostgres({ dataDir: deep });
    const { host } = server.connection;
    expect(host.startsWith(deep)).toBe(false);
    expect((await stat(host)).mode & 0o777).toBe(0o700);
    expect(await query(server.url(), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await server.stop();
    await expect(stat(host)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
