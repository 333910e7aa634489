import Table from 'cli-table3';
import { stringify } from 'yaml';

/** Forms in which results are printed. */
export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const;

/** One of them. */
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** One column of a table. */
export interface Column<T> {
  readonly title: string;
  readonly text: (row: T) => string;
}

/** How resources of a kind are printed. */
export interface ResourceView<T> {
  readonly columns: readonly Column<T>[];
  /** The JSON form of the API (proto3 JSON mapping). */
  readonly toJson: (row: T) => unknown;
}

/** Prints a list: a table, or an array. */
export function printList<T>(
  rows: readonly T[],
  view: ResourceView<T>,
  format: OutputFormat,
): void {
  if (format === 'table') printTable(rows, view.columns);
  else printData(rows.map(view.toJson), format);
}

/** Prints one resource: a table of one line, or an object. */
export function printOne<T>(row: T, view: ResourceView<T>, format: OutputFormat): void {
  if (format === 'table') printTable([row], view.columns);
  else printData(view.toJson(row), format);
}

/** Prints data as JSON or YAML. */
export function printData(data: unknown, format: Exclude<OutputFormat, 'table'>): void {
  const text = format === 'json' ? `${JSON.stringify(data, undefined, 2)}\n` : stringify(data);
  process.stdout.write(text);
}

/** Prints a line for people. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** An instant in the words of tables: UTC to the second, "-" for none. */
export function instantText(at: Date | undefined): string {
  return at === undefined
    ? '-'
    : at
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, 'Z');
}

function printTable<T>(rows: readonly T[], columns: readonly Column<T>[]): void {
  process.stdout.write(`${tableLines(rows, columns).join('\n')}\n`);
}

/** A table as lines, the head first. */
export function tableLines<T>(rows: readonly T[], columns: readonly Column<T>[]): string[] {
  const table = new Table({
    head: columns.map(({ title }) => title.toUpperCase()),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: {
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '',
    },
  });
  for (const row of rows) table.push(columns.map(({ text }) => printable(text(row))));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

/** Names come from others: what would move a terminal's cursor or colour is shown as a question mark. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?');
}
