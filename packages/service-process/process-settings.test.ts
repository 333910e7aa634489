import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { databaseConnection, databaseSettings } from './process-settings.ts';

test.each([
  ['postgres://ipam@db.example/nexodus', true],
  ['postgres://db.example:5432/nexodus?application_name=a:b', true],
  ['postgres:///nexodus?host=/run/postgresql&user=ipam', true],
  ['postgres://ipam:secret@db.example/nexodus', false],
  ['postgres://ipam:se/cr@et@db.example/nexodus', false],
  ['postgres://ipam@db.example/nexodus?password=secret', false],
  ['postgres://ipam@db.example/nexodus?sslmode=require&passw%6Frd=secret', false],
])('%s may stand in a configuration: %s', (url, isFine) => {
  expect(databaseSettings.safeParse({ url }).success).toBe(isFine);
});

test.each([
  ['postgres://ipam@db.example/nexodus', 'postgres://ipam@db.example/nexodus?password='],
  ['postgres:///nexodus?host=/run', 'postgres:///nexodus?host=/run&password='],
])('the password of a file belongs to %s, whatever is in it', (url, start) => {
  const folder = mkdtempSync(join(tmpdir(), 'nexodus-settings-'));
  const file = join(folder, 'password');
  writeFileSync(file, 'a%41/ @?&:é\n');
  const connection = databaseConnection({ url, password_file: file });
  expect(connection.startsWith(start)).toBe(true);
  expect(decodeURIComponent(connection.slice(start.length))).toBe('a%41/ @?&:é');
  rmSync(folder, { recursive: true });
});
