import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { type Command, CommanderError } from 'commander';
import type { CommandError } from './command-error.ts';
import { ExitCode } from './exit-code.ts';
import { explainFailure } from './explain-failure.ts';

/**
 * Parses the arguments, runs the command and resolves with the exit code. Errors go to standard error as one line,
 * "PROGRAM: cause. remedy"; with NEXODUS_DEBUG=1 the stack follows.
 *
 * @param argv arguments after the program's name
 */
export async function runProgram(program: Command, argv: readonly string[]): Promise<ExitCode> {
  // Warnings of libraries about Node's interfaces are for developers, not for the person at the terminal.
  process.noDeprecation = process.env.NEXODUS_DEBUG !== '1';
  // What a connection fails of is said by the errors of calls; the library would print a line of its own besides.
  if (process.env.GRPC_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);
  process.stdout.on('error', ignoreClosedPipe);
  makeErrorsOneLine(program, program.name());
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof CommanderError) return commanderExitCode(error);
    const explained = explainFailure(error);
    process.stderr.write(`${explained.line(program.name())}\n`);
    if (process.env.NEXODUS_DEBUG === '1') process.stderr.write(`${stackOf(explained)}\n`);
    return explained.exitCode;
  }
}

/** Whoever read the output (`head`, a pager) has seen enough; a daemon goes on without being heard. */
function ignoreClosedPipe(error: Error): void {
  if (!('code' in error) || error.code !== 'EPIPE') throw error;
}

/** Commander has printed its message by then. */
function commanderExitCode(error: CommanderError): ExitCode {
  return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
}

function makeErrorsOneLine(command: Command, name: string): void {
  command
    .exitOverride()
    .showHelpAfterError(false)
    .configureOutput({
      outputError: (text, write) => {
        const cause = text
          .replace(/^error: /, '')
          .replaceAll(/\s+/g, ' ')
          .trim();
        const full = commandPath(command);
        write(`${name}: ${cause}${/[.?!)]$/.test(cause) ? '' : '.'} See \`${full} --help\`.\n`);
      },
    });
  for (const inner of command.commands) makeErrorsOneLine(inner, name);
}

function commandPath(command: Command): string {
  const parent = command.parent;
  return parent === null ? command.name() : `${commandPath(parent)} ${command.name()}`;
}

function stackOf(error: CommandError): string {
  const { cause } = error;
  return (cause instanceof Error ? cause.stack : error.stack) ?? '';
}
