import { loadConfig } from '@nexodus/config';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { stunConfig } from './stun-config.ts';

const load = (env: Record<string, string>) =>
  loadConfig(z.object({ stun: stunConfig.prefault({}) }), { env, envPrefix: 'NEXODUS' }).stun;

test('without settings it serves the loopback address only', () => {
  expect(load({})).toMatchObject({
    listen: [{ host: '127.0.0.1', port: 3478 }],
    public_addresses: [],
    source_limit: { rate_per_second: 100, burst: 200, table_size: 65_536 },
  });
});

test('addresses come from the environment as a list', () => {
  expect(load({ NEXODUS_STUN_LISTEN: '["192.0.2.1:3478", "[2001:db8::1]:0"]' }).listen).toEqual([
    { host: '192.0.2.1', port: 3478 },
    { host: '2001:db8::1', port: 0 },
  ]);
});

test.each([
  ['a name instead of an address', { NEXODUS_STUN_LISTEN: '[localhost:3478]' }, 'stun.listen.0'],
  ['no address at all', { NEXODUS_STUN_LISTEN: '[]' }, 'stun.listen'],
  [
    'a public address without a port',
    { NEXODUS_STUN_PUBLIC_ADDRESSES: '["192.0.2.1:0"]' },
    'stun.public_addresses.0',
  ],
  ['a burst of none', { NEXODUS_STUN_SOURCE_LIMIT_BURST: '0' }, 'stun.source_limit.burst'],
  ['a misspelt setting', { NEXODUS_STUN_LISTENS: '[]' }, 'NEXODUS_STUN_LISTENS'],
])('%s is refused by its name', (_name, env, named) => {
  expect(() => load(env)).toThrow(named);
});
