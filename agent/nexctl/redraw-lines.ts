/** Lines on a terminal that change in place (ECMA-48 control sequences). */

/** What a terminal has room for. */
export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/**
 * What a terminal is sent so that it shows other lines: only those that differ are written. The cursor is below the last
 * line before and after. Lines must fit (`fitLines`). Empty where nothing differs.
 */
export function redrawLines(before: readonly string[], after: readonly string[]): string {
  if (before.length === after.length && after.every((line, at) => line === before[at])) return '';
  const up = before.length === 0 ? '' : `\x1b[${before.length}A`;
  const lines = after.map((line, at) => (line === before[at] ? '\n' : `\x1b[2K${line}\n`));
  const rest = after.length < before.length ? '\x1b[J' : '';
  return `${up}\r${lines.join('')}${rest}`;
}

/** Cuts lines that are too long, and leaves out those that have no room, saying how many. */
export function fitLines(lines: readonly string[], { columns, rows }: ScreenSize): string[] {
  // The cursor stands on a line of its own below.
  const room = Math.max(1, rows - 1);
  const shown = lines.length <= room ? lines : lines.slice(0, room - 1);
  const left = lines.length - shown.length;
  const all = left === 0 ? shown : [...shown, `... ${left} more`];
  return all.map((line) => line.slice(0, Math.max(1, columns - 1)));
}
