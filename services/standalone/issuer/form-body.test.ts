import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { FormError, isFromOwnPage, readForm } from './form-body.ts';

interface Answer {
  form?: string;
  refused?: boolean;
  own?: boolean;
}

async function post(body: string, headers: Record<string, string>): Promise<Answer> {
  const answer = Promise.withResolvers<Answer>();
  const server = createServer((request, response) => {
    const own = isFromOwnPage(request, 'https://own.example');
    readForm(request).then(
      (form) => answer.resolve({ form: form.toString(), own }),
      (error: unknown) => answer.resolve({ refused: error instanceof FormError }),
    );
    answer.promise.then(
      () => response.end(),
      () => response.end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // a TCP server's address
  try {
    await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body, headers }).catch(() => {});
    return await answer.promise;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const form = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };

test('a form is read', async () => {
  expect(await post('a=1&b=%20x', form)).toEqual({ form: 'a=1&b=+x', own: true });
});

test('another media type and a large form are refused', async () => {
  expect(await post('{}', { 'content-type': 'application/json' })).toEqual({ refused: true });
  expect(await post(`a=${'x'.repeat(8_192)}`, form)).toEqual({ refused: true });
});

test.each([
  [{ origin: 'https://own.example' }, true],
  [{ origin: 'https://other.example' }, false],
  [{ origin: 'null' }, false],
  [{ origin: 'https://own.example', 'sec-fetch-site': 'same-origin' }, true],
  [{ 'sec-fetch-site': 'cross-site' }, false],
  [{ 'sec-fetch-site': 'same-site' }, false],
])('a form with %j counts as sent from an own page: %s', async (headers, own) => {
  expect((await post('a=1', { ...form, ...headers })).own).toBe(own);
});
