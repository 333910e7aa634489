import { createInterface } from 'node:readline';

/** What a program can be asked to do. Arguments and results travel as JSON. */
export type Calls = Readonly<Record<string, (argument: never) => unknown>>;

/** A call on its way. */
export interface CallLine {
  readonly id: number;
  readonly call: string;
  readonly argument?: unknown;
}

/** Its answer. */
export interface AnswerLine {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** Says that the program can be called. */
export const READY_LINE = '{"ready":true}';

/**
 * Makes this process a program that is called by lines of JSON at its standard input, one call at a time, and ends with
 * it. `close` is called last.
 */
export async function answerCalls(calls: Calls, close: () => unknown): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  say(READY_LINE);
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, call, argument } = JSON.parse(line) as CallLine; // running-program.ts wrote it
    const wanted = calls[call] as ((argument: unknown) => unknown) | undefined; // the caller's types agree
    say(JSON.stringify(await answerOf(id, () => wanted?.(argument))));
  }
  await close();
}

async function answerOf(id: number, call: () => unknown): Promise<AnswerLine> {
  try {
    return { id, result: await call() };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

/** The configuration that the program was started with. */
export function programConfig<Config>(): Config {
  return JSON.parse(process.argv[2] ?? 'null') as Config; // running-program.ts wrote it
}
