import { expect, test } from 'vitest';

import { ServerLog } from './server-log.ts';

test('lines are told apart by severity and SQLSTATE however the output is cut', () => {
  const seen: string[] = [];
  const note = (level: string) => (fields: object) =>
    void seen.push(`${level} ${JSON.stringify(fields)}`);
  const log = new ServerLog({
    debug: note('debug'),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
  });
  const output =
    '00000 LOG:  starting\n53100 PANIC:  full\n57P01 FATAL:  closing\n3D000 FATAL:  no database\nraw\n';
  for (const character of output) log.write(character);
  expect(seen).toEqual([
    'debug {"sqlState":"00000","severity":"LOG","text":"starting"}',
    'error {"sqlState":"53100","severity":"PANIC","text":"full"}',
    'debug {"sqlState":"57P01","severity":"FATAL","text":"closing"}',
    'warn {"sqlState":"3D000","severity":"FATAL","text":"no database"}',
  ]);
  expect([...log.fatalStates]).toEqual(['53100', '57P01', '3D000']);
  expect(log.tail()).toContain('no database | raw');
});
