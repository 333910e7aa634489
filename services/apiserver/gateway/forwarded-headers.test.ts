import { expect, test } from 'vitest';
import { forwardedHeaders } from './forwarded-headers.ts';

test('the credential and the request id go on, nothing else does', () => {
  const incoming = new Headers({
    authorization: 'DPoP token',
    dpop: 'proof',
    'x-request-id': 'a-1',
    cookie: 'session=1',
    forwarded: 'for=192.0.2.1',
    'x-forwarded-for': '192.0.2.1',
    'x-real-ip': '192.0.2.1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    tracestate: 'a=b',
    baggage: 'a=b',
    'nexodus-peer-names': 'nexodus:service/apiserver',
    'nexodus-timeout-ms': '600000',
    'grpc-timeout': '1H',
    'x-user-id': 'somebody',
  });
  expect([...forwardedHeaders(incoming)]).toEqual([
    ['authorization', 'DPoP token'],
    ['dpop', 'proof'],
    ['x-request-id', 'a-1'],
  ]);
});

test.each(['', 'a b', 'x'.repeat(129), 'a\tb'])(
  'a request id of another form is left out: %j',
  (id) => {
    expect([...forwardedHeaders(new Headers({ 'x-request-id': id }))]).toEqual([]);
  },
);
