import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JoinLineError, parseJoinLine } from './join-line.ts';

describe('the join line', () => {
  test('is found among other lines, whatever stands before nexd', () => {
    const text = [
      'Service  https://10.0.0.2:7443',
      '  \u001b[1msudo npx nexd up --service-url https://10.0.0.2:7443 --ca-sha256 ab12 --reg-key-file /tmp/k\u001b[0m',
      'Stop with Ctrl-C',
    ].join('\n');
    expect(parseJoinLine(text)).toEqual([
      'up',
      '--service-url',
      'https://10.0.0.2:7443',
      '--ca-sha256',
      'ab12',
      '--reg-key-file',
      '/tmp/k',
    ]);
  });

  test('keeps quoted words together as a shell does', () => {
    expect(
      parseJoinLine(`nexd up --service-url "https://a" --reg-key-file '/tmp/my 'keys/k`),
    ).toEqual(['up', '--service-url', 'https://a', '--reg-key-file', '/tmp/my keys/k']);
  });

  test.each(['', 'nexd down', 'npx nexd up --service-url $(reboot)', 'nexd up --service-url "'])(
    'refuses %j',
    (text) => {
      expect(() => parseJoinLine(text)).toThrow(JoinLineError);
    },
  );

  test('throws nothing but its own error, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), fc.boolean(), (text, isPrefixed) => {
        expect(thrownBy(isPrefixed ? `nexd up --service-url ${text}` : text)).toBe('as declared');
      }),
    );
  });
});

function thrownBy(text: string): string {
  try {
    parseJoinLine(text);
    return 'as declared';
  } catch (error) {
    return error instanceof JoinLineError ? 'as declared' : String(error);
  }
}
