import { ConfigError } from '@nexodus/config';
import { expect, test } from 'vitest';
import { certificateHosts, isOpenToOthers, resolveAddresses } from './service-addresses.ts';
import { loadStandaloneSettings } from './settings.ts';

const anyPorts = {
  NEXODUS_API_LISTEN: '127.0.0.1:0',
  NEXODUS_HTTPS_LISTEN: '127.0.0.1:0',
  NEXODUS_RELAY_LISTEN: '127.0.0.1:0',
  NEXODUS_METRICS_LISTEN: '127.0.0.1:0',
  NEXODUS_STUN_LISTEN: '["127.0.0.1:0"]',
};

function resolve(env: Record<string, string>) {
  return resolveAddresses(loadStandaloneSettings(undefined, { ...anyPorts, ...env }));
}

test('without a public URL the service is known by the address that it listens on', async () => {
  const addresses = await resolve({});
  expect(addresses.api.listen.port).toBeGreaterThan(0);
  expect(addresses.api.publicUrl).toBe(`https://127.0.0.1:${addresses.api.listen.port}`);
  expect(addresses.https.publicUrl).toBe(`https://127.0.0.1:${addresses.https.listen.port}`);
  expect(isOpenToOthers(addresses)).toBe(false);
  expect(certificateHosts(addresses)).toEqual(['localhost', '127.0.0.1', '::1']);
});

test('a public URL names the service and is in its certificate', async () => {
  const addresses = await resolve({
    NEXODUS_API_LISTEN: '0.0.0.0:0',
    NEXODUS_API_PUBLIC_URL: 'https://nexodus.example',
    NEXODUS_HTTPS_PUBLIC_URL: 'https://login.nexodus.example/',
  });
  expect(addresses.api.publicUrl).toBe('https://nexodus.example');
  expect(addresses.https.publicUrl).toBe('https://login.nexodus.example');
  expect(isOpenToOthers(addresses)).toBe(true);
  expect(certificateHosts(addresses)).toEqual([
    'localhost',
    '127.0.0.1',
    '::1',
    'nexodus.example',
    'login.nexodus.example',
  ]);
});

test('STUN on every address tells clients the address that the service is known by', async () => {
  const addresses = await resolve({
    NEXODUS_API_PUBLIC_URL: 'https://192.0.2.7:7443',
    NEXODUS_STUN_LISTEN: '["0.0.0.0:0"]',
  });
  expect(addresses.stunPublic).toEqual([{ host: '192.0.2.7', port: addresses.stun[0]?.port }]);
});

test('every address without a public URL is refused, since nobody could be told where to join', async () => {
  await expect(resolve({ NEXODUS_API_LISTEN: '0.0.0.0:0' })).rejects.toThrow(ConfigError);
  await expect(resolve({ NEXODUS_HTTPS_LISTEN: '[::]:0' })).rejects.toThrow('https.public_url');
});

test.each([
  'http://nexodus.example',
  'https://nexodus.example/path',
  'nexodus.example',
  'https://a?b',
])('a public URL is an HTTPS origin: %s is refused', (url) => {
  expect(() => loadStandaloneSettings(undefined, { NEXODUS_API_PUBLIC_URL: url })).toThrow(
    ConfigError,
  );
});

test('without any issuer nobody could log in', () => {
  expect(() => loadStandaloneSettings(undefined, { NEXODUS_OIDC_EMBEDDED: 'false' })).toThrow(
    'oidc.issuers',
  );
});
