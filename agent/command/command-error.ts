import type { ExitCode } from './exit-code.ts';

/**
 * What ends a command: one line for the person at the terminal. `message` is the cause, `remedy` what to do about it;
 * neither holds a secret.
 */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: ExitCode;
  readonly remedy: string;

  /** @param message the cause, without a full stop */
  constructor(exitCode: ExitCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
    this.remedy = remedy;
  }

  /** The line, such as "nexctl: no such VPC. List them with `nexctl vpc list`." */
  line(program: string): string {
    return `${program}: ${sentence(this.message)} ${sentence(this.remedy)}`.trimEnd();
  }
}

function sentence(text: string): string {
  const oneLine = text.replaceAll(/\s+/g, ' ').trim();
  if (oneLine === '') return '';
  return /[.?!]$/.test(oneLine) ? oneLine : `${oneLine}.`;
}
