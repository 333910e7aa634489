import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ConfigError } from './config-error.ts';
import { listenAddress } from './fields.ts';
import { loadConfig } from './load-config.ts';

const schema = z.object({
  public_url: z.url().optional(),
  api: z
    .object({
      listen: listenAddress.prefault('127.0.0.1:7443'),
      max_streams: z.int().positive().default(10),
    })
    .prefault({}),
  regions: z.array(z.string()).default([]),
  issuers: z
    .array(z.object({ url: z.string(), ca_file: z.string().optional() }))
    .min(1)
    .optional(),
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nexodus-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function fileWith(text: string): string {
  const file = join(folder, 'config.yaml');
  writeFileSync(file, text);
  return file;
}

function load(text: string | undefined, env: Record<string, string> = {}): z.output<typeof schema> {
  const file = text === undefined ? undefined : fileWith(text);
  return loadConfig(schema, {
    file,
    env,
    envPrefix: 'NEXODUS',
    reservedVariables: ['NEXODUS_DATA_DIR'],
  });
}

describe('sources', () => {
  test('defaults hold when nothing is said', () => {
    expect(load(undefined)).toEqual({
      api: { listen: { host: '127.0.0.1', port: 7443 }, max_streams: 10 },
      regions: [],
    });
  });

  test('the environment wins over the file, key by key', () => {
    const config = load('api:\n  listen: "[::]:443"\n  max_streams: 5\n', {
      NEXODUS_API_MAX_STREAMS: '7',
    });
    expect(config.api).toEqual({ listen: { host: '::', port: 443 }, max_streams: 7 });
  });

  test('a list in the environment is written as YAML', () => {
    expect(load(undefined, { NEXODUS_REGIONS: '[eu, us]' }).regions).toEqual(['eu', 'us']);
  });

  test('reserved and foreign variables are left alone', () => {
    expect(load(undefined, { NEXODUS_DATA_DIR: '/x', HOME: '/root' }).regions).toEqual([]);
  });
});

describe('refusals name the key and where it came from', () => {
  test.each([
    ['an unknown key', 'speed: 1\n', {}, 'speed: no such setting'],
    ['an unknown inner key', 'api:\n  lisen: a\n', {}, 'api.lisen: no such setting'],
    [
      'an unknown key in a list',
      'issuers:\n  - url: a\n    ca_fil: b\n',
      {},
      'issuers.0.ca_fil: no such setting',
    ],
    ['a list without entries', 'issuers: []\n', {}, 'issuers: '],
    ['an unknown variable', undefined, { NEXODUS_SPEED: '1' }, 'NEXODUS_SPEED: no such setting'],
    ['a bad address', undefined, { NEXODUS_API_LISTEN: '7443' }, 'NEXODUS_API_LISTEN'],
    ['a port out of range', 'api:\n  listen: "a:70000"\n', {}, 'api.listen: must be host:port'],
    ['a file that is no map', '- a\n', {}, 'must be a map'],
    ['a file that is no YAML', 'a: [\n', {}, 'is not YAML'],
  ])('%s', (_name, text, env, message) => {
    expect(() => load(text, env)).toThrow(ConfigError);
    expect(() => load(text, env)).toThrow(message);
  });

  test('a file that is not there', () => {
    const sources = { file: join(folder, 'none.yaml'), env: {}, envPrefix: 'NEXODUS' };
    expect(() => loadConfig(schema, sources)).toThrow('cannot be read');
  });
});
