import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ProxySettings, proxyTo, readProxySettings } from './proxy-settings.ts';

const SERVICE = { host: 'nexodus.example', port: 443 };

function originFor(settings: ProxySettings, destination = SERVICE): string | undefined {
  return proxyTo(settings, destination)?.origin;
}

test.for([
  ['an option', 'http://one:1', { https_proxy: 'http://two:2' }, 'http://one:1'],
  ['an empty option', '', { https_proxy: 'http://two:2' }, undefined],
  [
    'the lower case',
    undefined,
    { https_proxy: 'http://two:2', HTTPS_PROXY: 'http://three:3' },
    'http://two:2',
  ],
  ['the upper case', undefined, { HTTPS_PROXY: 'http://three:3' }, 'http://three:3'],
  ['an empty lower case', undefined, { https_proxy: '', HTTPS_PROXY: 'http://three:3' }, undefined],
  ['no scheme', 'proxy.example:3128', {}, 'http://proxy.example:3128'],
  ['no port', 'http://proxy.example', {}, 'http://proxy.example:80'],
  ['an IPv6 proxy', 'http://[2001:DB8::1]:3128/', {}, 'http://[2001:db8::1]:3128'],
  ['http_proxy alone', undefined, { http_proxy: 'http://four:4' }, undefined],
  ['nothing', undefined, {}, undefined],
] as const)('%s names the proxy', ([, option, env, origin]) => {
  expect(originFor(readProxySettings(option, env))).toBe(origin);
});

test.for([
  ['*', true],
  ['nexodus.example', true],
  ['NEXODUS.example.', true],
  ['.example', true],
  ['*.example', true],
  ['other.example, example', true],
  ['nexodus.example:443', true],
  ['nexodus.example:7443', false],
  ['odus.example', false],
  ['exus.example other', false],
  ['', false],
  ['. :443 / []', false],
] as const)('no_proxy "%s" excepts nexodus.example:443: %s', ([list, isExcepted]) => {
  for (const option of [undefined, 'http://one:1']) {
    const env = { HTTPS_PROXY: 'http://one:1', no_proxy: list, NO_PROXY: '*' };
    expect(originFor(readProxySettings(option, env)) === undefined).toBe(isExcepted);
  }
});

test.for([
  ['192.0.2.7', '192.0.2.7', true],
  ['192.0.2.7', '192.0.2.0/24', true],
  ['192.0.2.7', '192.0.2.9/24', true],
  ['192.0.2.7', '192.0.3.0/24', false],
  ['192.0.2.7', '192.0.2.0/', false],
  ['192.0.2.7', '192.0.2.0/33', false],
  ['192.0.2.7', '2', false],
  ['2001:db8::7', '2001:DB8::7', true],
  ['2001:db8::7', '[2001:db8::7]:443', true],
  ['2001:db8::7', '[2001:db8::7]:80', false],
  ['2001:db8::7', '2001:db8::/32', true],
] as const)('%s is excepted by "%s": %s', ([host, entry, isExcepted]) => {
  const settings = readProxySettings('http://one:1', { NO_PROXY: entry });
  expect(originFor(settings, { host, port: 443 }) === undefined).toBe(isExcepted);
});

test.for(['localhost', 'a.localhost', '127.0.0.1', '127.1.2.3', '::1'])(
  '%s is this machine and always reached directly',
  (host) => {
    expect(originFor(readProxySettings('http://one:1', {}), { host, port: 443 })).toBeUndefined();
  },
);

test('a password is decoded for the proxy and shows nowhere else', () => {
  const settings = readProxySettings('http://me:s%40cret%3A@proxy:3128', {});
  const { proxy } = settings;
  expect(proxy?.exportCredentials()).toBe('me:s@cret:');
  const shown = [inspect(settings, { depth: 9 }), JSON.stringify(settings), String(proxy)].join();
  expect(shown).toContain('proxy');
  expect(shown).not.toMatch(/cret|me:/);
});

test.for([
  'https://me:secret@proxy:3128',
  'socks5://me:secret@proxy:1080',
  'http://me:secret@',
  'http://me:secret@proxy:3128/path',
  'http://me:secret@proxy:port',
  'http://me:%E0secret@proxy:3128',
  'me secret',
])('%s is a usage error that does not repeat it', (text) => {
  for (const [option, env] of [
    [text, {}],
    [undefined, { HTTPS_PROXY: text }],
  ] as const) {
    const attempt = (): unknown => readProxySettings(option, env);
    expect(attempt).toThrow(expect.objectContaining({ exitCode: 2 }));
    expect(attempt).not.toThrow(/secret/);
    expect(attempt).toThrow(option === undefined ? /HTTPS_PROXY/ : /--proxy/);
  }
});

test('whatever is written, nothing but a usage error is thrown', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9.:/@%[\]*-]{0,40}$/));
  const kinds = new Set<string>();
  fc.assert(
    fc.property(text, text, text, (url, list, host) => {
      kinds.add(outcome(url, list, host));
    }),
    { numRuns: 500 },
  );
  expect([...kinds].toSorted()).toEqual(['CommandError', 'proxy']);
});

function outcome(url: string, list: string, host: string): string {
  try {
    const settings = readProxySettings(`http://${url}`, { NO_PROXY: list });
    proxyTo(settings, { host, port: 443 });
    return 'proxy';
  } catch (error) {
    return error instanceof Error ? error.constructor.name : 'not an error';
  }
}
