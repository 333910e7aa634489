import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';

/** The resource of an answer, which the API promises. @throws {CommandError} `unexpected` */
export function required<T>(resource: T | undefined): T {
  if (resource !== undefined) return resource;
  throw new CommandError(
    ExitCode.unexpected,
    'The service answered without the resource that was asked for',
    'Check that service and program are of the same release',
  );
}
