import { stat } from 'node:fs/promises';

import { Client } from 'pg';
import { expect, test } from 'vitest';

import { startTestPostgres } from './testing.ts';

test('each database of a test server is empty and its own, and nothing is left after stop', async () => {
  const server = await startTestPostgres();
  const [first, second] = await Promise.all([server.createDatabase(), server.createDatabase()]);
  expect(first).not.toBe(second);
  const client = new Client(first);
  await client.connect();
  const { rows } = await client.query<{ count: string }>(
    `SELECT count(*)::text FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  );
  expect(rows).toEqual([{ count: '0' }]);
  await client.end();
  await server.stop();
  await expect(stat(server.connection.host)).rejects.toMatchObject({ code: 'ENOENT' });
});
