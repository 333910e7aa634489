import { fuzzRuns } from '@nexodus/fuzzing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DataplaneError } from '../../dataplane/dataplane-error.ts';
import { parseDefaultRoutes, parseRouteTo } from './route-output.ts';

const limited =
  '[{"dst":"10.9.1.1","gateway":"10.0.0.2","dev":"eth0","prefsrc":"10.0.0.1","flags":[],"uid":0,"cache":[],"metrics":[{"mtu":1300}]}]';
const two =
  '[{"dst":"default","gateway":"10.0.0.4","dev":"wlan0","metric":7,"flags":[]},{"dst":"default","gateway":"10.0.0.3","dev":"eth0","flags":[]},{"dst":"default","dev":"nx0","flags":[]}]';

test('a route tells interface, source and its own limit', () => {
  expect(parseRouteTo(limited)).toEqual({
    interfaceName: 'eth0',
    sourceAddress: '10.0.0.1',
    mtuBytes: 1300,
  });
  expect(parseRouteTo('[{"dst":"10.0.0.7","dev":"eth0","flags":[]}]')).toEqual({
    interfaceName: 'eth0',
    sourceAddress: '',
    mtuBytes: undefined,
  });
  expect(parseRouteTo('[]')).toBeNull();
});

test('default routes are told in one order, without those of the tunnel', () => {
  expect(parseDefaultRoutes(two, 'nx0')).toEqual(['eth0 10.0.0.3 0', 'wlan0 10.0.0.4 7']);
  expect(parseDefaultRoutes('', 'nx0')).toEqual([]);
});

/** Anything but the declared error is thrown on. */
function isDeclared(parse: (text: string) => unknown, text: string): boolean {
  try {
    parse(text);
    return true;
  } catch (error) {
    if (error instanceof DataplaneError) return error.reason === 'unreadable-output';
    throw error;
  }
}

test('whatever `ip` prints, only the declared error is thrown', () => {
  const spliced = fc
    .tuple(fc.constantFrom(limited, two), fc.nat(300), fc.nat(20), fc.string({ maxLength: 8 }))
    .map(([text, at, length, other]) => text.slice(0, at) + other + text.slice(at + length));
  const law = fc.property(fc.oneof(spliced, fc.string(), fc.json()), (text) => {
    expect(isDeclared(parseRouteTo, text)).toBe(true);
    expect(isDeclared((given) => parseDefaultRoutes(given, 'nx0'), text)).toBe(true);
  });
  fc.assert(law, { numRuns: fuzzRuns(2_000) });
});
