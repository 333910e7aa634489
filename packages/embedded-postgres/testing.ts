import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startCluster } from './cluster.ts';
import type { EmbeddedPostgresConnection } from './cluster.ts';

/** A PostgreSQL for the tests of one file. */
export interface TestPostgres {
  /** To the database `postgres`, as superuser. */
  readonly connection: EmbeddedPostgresConnection;
  /** The same as a URL, to the database and as the role named. */
  url(database?: string, role?: string): string;
  /** Makes an empty database of a unique name and returns its URL as superuser. */
  createDatabase(): Promise<string>;
  /** Stops the server and removes everything. Idempotent. */
  stop(): Promise<void>;
}

/** A crash of the machine may lose everything, which is what makes it fast. */
const FLEETING = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  shared_buffers: '32MB',
};

/** Starts a real PostgreSQL 18 in a temporary directory, in about a second. One per test file is enough. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'nexodus-test-'));
  const removeData = (): Promise<void> => rm(dataDir, { recursive: true, force: true });
  const server = await startCluster(
    { dataDir, maxConnections: 100 },
    { isDurable: false, settings: FLEETING },
  ).catch(async (error: unknown) => {
    await removeData();
    throw error;
  });
  return {
    connection: server.connection,
    url: (database, role) => server.url(database, role),
    createDatabase: () => server.createDatabase(`test_${randomUUID().replaceAll('-', '_')}`),
    stop: () => server.stop().then(removeData),
  };
}
