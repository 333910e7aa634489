import { type Endpoint, EndpointKind } from '@nexodus/contracts/type';
import { parseIpPrefix } from '@nexodus/netip';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseEndpoint, type EndpointQuestion } from './choose-endpoint.ts';

const local = (address: string): Endpoint => ({ address, kind: EndpointKind.LOCAL });
const reflexive = (address: string): Endpoint => ({ address, kind: EndpointKind.REFLEXIVE });

const question: EndpointQuestion = {
  candidates: [local('172.16.9.2:7'), reflexive('198.51.100.7:4000'), local('10.0.0.9:51820')],
  trial: undefined,
  traffic: undefined,
  onLink: [parseIpPrefix('10.0.0.0/24')],
  excluded: new Set(['10.0.0.5', '100.64.0.1']),
  nowMs: 1_000_000,
};

describe('of the candidates of a new peer', () => {
  test('a local one of a network at hand comes first', () => {
    expect(chooseEndpoint(question)?.endpoint).toBe('10.0.0.9:51820');
  });

  test('else a reflexive one, else the first', () => {
    const apart = { ...question, onLink: [] };
    expect(chooseEndpoint(apart)?.endpoint).toBe('198.51.100.7:4000');
    const onlyLocal = { ...apart, candidates: [local('172.16.9.2:7'), local('10.0.0.9:1')] };
    expect(chooseEndpoint(onlyLocal)?.endpoint).toBe('172.16.9.2:7');
  });

  test('own addresses, tunnel addresses and unroutable ones are never used', () => {
    const bad = ['10.0.0.5:1', '100.64.0.1:1', '127.0.0.1:1', '169.254.1.1:1', '0.0.0.0:1'];
    const worse = ['224.0.0.1:1', '[fe80::1]:1', '[::1]:1', '10.0.0.9:0', 'host:1', '10.0.0.9', ''];
    const candidates = [...bad, ...worse].map(local);
    expect(chooseEndpoint({ ...question, candidates })).toBeUndefined();
  });
});

describe('the endpoint of a known peer', () => {
  const trial = { endpoint: '203.0.113.1:9', sinceMs: 0, txBytes: 10 };

  test('stays while its session lives, whatever is announced', () => {
    const traffic = { handshakeAtMs: question.nowMs - 100_000, txBytes: 500 };
    expect(chooseEndpoint({ ...question, trial, traffic })).toBe(trial);
  });

  test('gives way to the best candidate when it is no longer announced and silent', () => {
    const traffic = { handshakeAtMs: question.nowMs - 200_000, txBytes: 10 };
    expect(chooseEndpoint({ ...question, trial, traffic })?.endpoint).toBe('10.0.0.9:51820');
  });

  test('gives way to the next one after 15 s of sending without an answer, and comes round', () => {
    const first = { endpoint: '10.0.0.9:51820', sinceMs: question.nowMs - 15_000, txBytes: 10 };
    const ask = (overrides: Partial<EndpointQuestion>): string | undefined =>
      chooseEndpoint({ ...question, trial: first, traffic: { txBytes: 900 }, ...overrides })
        ?.endpoint;
    expect(ask({})).toBe('198.51.100.7:4000');
    expect(ask({ nowMs: question.nowMs - 1 })).toBe('10.0.0.9:51820');
    expect(ask({ traffic: { txBytes: 10 } })).toBe('10.0.0.9:51820');
    expect(ask({ trial: { ...first, endpoint: '172.16.9.2:7' } })).toBe('10.0.0.9:51820');
  });

  test('stays when nothing else is known', () => {
    expect(chooseEndpoint({ ...question, trial, candidates: [] })).toBe(trial);
  });
});

test('no announced text makes the choice throw', () => {
  const texts = fc.oneof(fc.string(), fc.ipV4(), fc.ipV6()).map(local);
  const law = fc.property(fc.array(texts), (candidates) => {
    chooseEndpoint({ ...question, candidates });
  });
  fc.assert(law);
});
