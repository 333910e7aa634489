import { InvalidSigningKeyError, RegistrationKeyError } from '@nexodus/device-identity';
import { RpcError } from '@nexodus/rpc';
import { DataplaneError } from '../dataplane/dataplane-error.ts';
import { StateError } from '../state/state-error.ts';
import { CommandError } from './command-error.ts';
import { ExitCode } from './exit-code.ts';
import { explainRpcError } from './explain-rpc-error.ts';

/** Words whatever a command threw. What nobody expected is `unexpected`, with its message. */
export function explainFailure(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  if (error instanceof RpcError) return explainRpcError(error);
  if (error instanceof DataplaneError) {
    return new CommandError(ExitCode.environment, error.message, error.remedy, { cause: error });
  }
  if (error instanceof StateError) {
    return new CommandError(ExitCode.state, error.message, error.remedy, { cause: error });
  }
  if (error instanceof RegistrationKeyError) {
    const remedy = 'Registration keys come from `nexctl reg-key create`';
    return new CommandError(ExitCode.usage, error.message, remedy);
  }
  if (error instanceof InvalidSigningKeyError) {
    return new CommandError(ExitCode.credentials, error.message, 'Restore the credentials file');
  }
  const message = error instanceof Error ? error.message : String(error);
  const remedy = 'This is a fault of the program: please report it with the command that you ran';
  return new CommandError(ExitCode.unexpected, message, remedy, { cause: error });
}
