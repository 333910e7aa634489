import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fitLines, redrawLines } from './redraw-lines.ts';

/** A terminal that knows the sequences in use; gives its lines, and the line that the cursor is on. */
function show(texts: readonly string[]): { lines: string[]; cursor: number } {
  const lines: string[] = [''];
  let at = 0;
  let column = 0;
  for (const [, up, erase, rest, text] of texts
    .join('')
    .replaceAll('\x1b', '^')
    .matchAll(/\^\[(\d+)A|(\^\[2K)|(\^\[J)|([\r\n]|[^^\r\n]+)/g)) {
    if (up !== undefined) at -= Number(up);
    else if (erase !== undefined) lines[at] = '';
    else if (rest !== undefined) lines.splice(at, lines.length, '');
    else if (text === '\r') column = 0;
    else if (text === '\n') {
      at += 1;
      column = 0;
      lines[at] ??= '';
    } else {
      const line = lines[at] ?? '';
      lines[at] = line.slice(0, column) + text + line.slice(column + (text ?? '').length);
      column += (text ?? '').length;
    }
  }
  return { lines, cursor: at };
}

test('a terminal shows the newest lines, whatever it showed before', () => {
  const line = fc.string({ unit: fc.constantFrom('a', 'b', ' '), maxLength: 6 });
  const screens = fc.array(fc.array(line, { maxLength: 5 }), { minLength: 1, maxLength: 6 });
  const law = fc.property(screens, (drawn) => {
    const sent = drawn.map((after, index) => redrawLines(drawn[index - 1] ?? [], after));
    const newest = drawn.at(-1) ?? [];
    expect(show(sent)).toEqual({ lines: [...newest, ''], cursor: newest.length });
  });
  fc.assert(law);
});

test('only lines that differ are written, and nothing where none does', () => {
  expect(redrawLines(['a', 'b', 'c'], ['a', 'x', 'c'])).toBe('\x1b[3A\r\n\x1b[2Kx\n\n');
  expect(redrawLines(['a', 'b'], ['a', 'b'])).toBe('');
});

test('what has no room is cut, and counted', () => {
  const lines = ['head', 'one line', 'two', 'three'];
  expect(fitLines(lines, { columns: 5, rows: 4 })).toEqual(['head', 'one ', '... ']);
  expect(fitLines(lines, { columns: 80, rows: 4 }).at(-1)).toBe('... 2 more');
  expect(fitLines(lines, { columns: 80, rows: 5 })).toEqual(lines);
  expect(fitLines(lines, { columns: 0, rows: 0 })).toHaveLength(1);
});
