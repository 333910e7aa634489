import { type RpcError, Status } from '@nexodus/rpc';
import { CommandError } from './command-error.ts';
import { ExitCode } from './exit-code.ts';

interface Explanation {
  readonly exitCode: ExitCode;
  readonly remedy: string;
}

/** What to do about each reason that the service names (google.rpc.ErrorInfo.reason). */
const byReason: Readonly<Record<string, Explanation>> = {
  CLOCK_SKEW: {
    exitCode: ExitCode.clockSkew,
    remedy: 'Set the clock of this machine (for instance `timedatectl set-ntp true`) and try again',
  },
  REGISTRATION_KEY_UNKNOWN: {
    exitCode: ExitCode.credentials,
    remedy: 'Make a new one with `nexctl reg-key create`',
  },
  REGISTRATION_KEY_EXPIRED: {
    exitCode: ExitCode.credentials,
    remedy: 'Make a new one with `nexctl reg-key create`',
  },
  REGISTRATION_KEY_USED: {
    exitCode: ExitCode.credentials,
    remedy: 'Make a new one with `nexctl reg-key create`, with --max-uses for several machines',
  },
  ACCOUNT_DISABLED: {
    exitCode: ExitCode.credentials,
    remedy: 'Use another service account, or log in with `nexctl login`',
  },
  COOKIE_EXPIRED: { exitCode: ExitCode.unreachable, remedy: 'Try again' },
  NONCE_USED: { exitCode: ExitCode.unreachable, remedy: 'Try again' },
  VPC_AMBIGUOUS: {
    exitCode: ExitCode.conflict,
    remedy: 'Name one with --vpc (and --organization); `nexctl vpc list` shows them',
  },
  KEY_DELETED: {
    exitCode: ExitCode.conflict,
    remedy: 'Run `nexd down --forget` to make new keys, then `nexd up` again',
  },
  DEVICE_DELETED: {
    exitCode: ExitCode.conflict,
    remedy: 'Run `nexd down --forget` to make new keys, then `nexd up` again',
  },
  DEVICE_EXPIRED: {
    exitCode: ExitCode.credentials,
    remedy: 'Run `nexd up` with a registration key or a login to renew it',
  },
};

const fault: Explanation = {
  exitCode: ExitCode.unexpected,
  remedy: 'If it stays, give this line to the operator of the service',
};

const byCode: Partial<Readonly<Record<Status, Explanation>>> = {
  [Status.INVALID_ARGUMENT]: { exitCode: ExitCode.usage, remedy: '' },
  [Status.OUT_OF_RANGE]: { exitCode: ExitCode.usage, remedy: '' },
  [Status.UNAUTHENTICATED]: {
    exitCode: ExitCode.credentials,
    remedy: 'Log in with `nexctl login`, or name a credentials file with --credentials',
  },
  [Status.PERMISSION_DENIED]: {
    exitCode: ExitCode.permissionDenied,
    remedy: 'Ask an administrator of the organization; `nexctl whoami` shows your roles',
  },
  [Status.NOT_FOUND]: {
    exitCode: ExitCode.notFound,
    remedy: 'Check the name or id with the list command',
  },
  [Status.ALREADY_EXISTS]: { exitCode: ExitCode.conflict, remedy: 'Choose another name' },
  [Status.FAILED_PRECONDITION]: { exitCode: ExitCode.conflict, remedy: '' },
  [Status.ABORTED]: {
    exitCode: ExitCode.conflict,
    remedy: 'Somebody changed it meanwhile: look at it and try again',
  },
  [Status.RESOURCE_EXHAUSTED]: { exitCode: ExitCode.exhausted, remedy: 'Try again later' },
  [Status.UNAVAILABLE]: {
    exitCode: ExitCode.unreachable,
    remedy: 'Check that the service runs and that the network reaches it',
  },
  [Status.DEADLINE_EXCEEDED]: {
    exitCode: ExitCode.unreachable,
    remedy: 'Check that the service runs and that the network reaches it',
  },
  [Status.UNIMPLEMENTED]: {
    exitCode: ExitCode.unreachable,
    remedy: 'Check --service-url, and that service and program are of the same release',
  },
};

/** Words an error of a call for the person at the terminal. */
export function explainRpcError(error: RpcError): CommandError {
  const { reason, metadata } = error.details;
  const known = reason === undefined ? undefined : byReason[reason];
  const { exitCode, remedy } = known ?? byCode[error.code] ?? fault;
  const trace = metadata?.trace_id === undefined ? '' : ` (trace ${metadata.trace_id})`;
  return new CommandError(exitCode, `${error.message}${trace}`, remedy, { cause: error });
}
