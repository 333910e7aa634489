/**
 * The agent: `nexd`, the daemon of a device, and `nexctl`, the command line. Other workspaces start them as programs;
 * what is here lets a test run them in its own process.
 */
export type { CommandError } from './command/command-error.ts';
export { ExitCode } from './command/exit-code.ts';
export { runProgram } from './command/run-program.ts';
export { createNexctlProgram } from './nexctl/program.ts';
export { createNexdProgram } from './nexd/program.ts';
