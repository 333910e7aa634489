import { expect, test } from 'vitest';
import { createLogger } from './logger.ts';

test('an error of PostgreSQL is logged without the rows and values that it names', () => {
  const lines: string[] = [];
  const logger = createLogger({
    name: 'test',
    destination: { write: (line: string) => lines.push(line) },
  });
  const detail = 'Key (public_key)=(\\x0102) already exists.';
  const error = Object.assign(new Error('duplicate key'), {
    code: '23505',
    detail,
    where: 'COPY devices, line 1: "0102"',
  });
  logger.error({ error }, 'failed');
  logger.error({ err: error }, 'failed');
  for (const line of lines) {
    expect(line).toContain('23505');
    expect(line).not.toContain('0102');
  }
});
