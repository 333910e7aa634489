import { RpcError, Status } from '@nexodus/rpc';
import { expect, test } from 'vitest';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { isCertainRefusal } from './certain-refusal.ts';

test.for([
  [Status.UNAVAILABLE, false],
  [Status.UNKNOWN, false],
  [Status.INTERNAL, false],
  [Status.ABORTED, false],
  [Status.DEADLINE_EXCEEDED, false],
  [Status.PERMISSION_DENIED, true],
  [Status.UNAUTHENTICATED, true],
] as const)('status %i says for certain that nothing was done: %s', ([code, isCertain]) => {
  const error = new RpcError(code, 'said');
  expect(isCertainRefusal(error)).toBe(isCertain);
  const explained = new CommandError(ExitCode.unreachable, 'no', 'try', { cause: error });
  expect(isCertainRefusal(explained)).toBe(isCertain);
});

test('what is no answer of the service is not certain', () => {
  expect(isCertainRefusal(new Error('socket hang up'))).toBe(false);
});
