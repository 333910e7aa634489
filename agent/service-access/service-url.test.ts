import { expect, test } from 'vitest';
import { CommandError } from '../command/command-error.ts';
import { parseServiceUrl, serverNameOf } from './service-url.ts';

test.for([
  ['https://Nexodus.Example', 'https://nexodus.example:443', 'nexodus.example'],
  ['https://nexodus.example:443/', 'https://nexodus.example:443', 'nexodus.example'],
  ['HTTPS://127.0.0.1:7443', 'https://127.0.0.1:7443', '127.0.0.1'],
  ['https://[2001:DB8::1]:7443', 'https://[2001:db8::1]:7443', '2001:db8::1'],
])('%s is dialled as %s', ([text, origin, host]) => {
  expect(parseServiceUrl(text!)).toMatchObject({ origin, host });
});

test.for([
  'http://nexodus.example',
  'nexodus.example:7443',
  'https://',
  'ftp://x',
  '',
  'https://user:secret@x',
  'https://x/path',
  'https://x/?a=b',
])('%s is refused as a usage error', (text) => {
  const attempt = (): unknown => parseServiceUrl(text);
  expect(attempt).toThrow(CommandError);
  expect(attempt).toThrow(expect.objectContaining({ exitCode: 2 }));
  expect(attempt).not.toThrow(/secret/);
});

test('an IP address is no server name', () => {
  expect(serverNameOf(parseServiceUrl('https://127.0.0.1'))).toBeUndefined();
  expect(serverNameOf(parseServiceUrl('https://a.example'))).toBe('a.example');
});
