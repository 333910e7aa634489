/**
 * A new key for a service account, in a way that never leaves the key that the service believes nowhere but in memory:
 * the new key is on disk, in `FILE.new`, before the service is told of it, and takes the place of the old one when the
 * service said that it has it. Where that answer is lost both files stay, and the next attempt goes on with the same new
 * key, so that it does not matter which of the two requests arrived, or when: it ends with one key.
 */
import { access, rename, rm } from 'node:fs/promises';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { isRpcError, Status } from '@nexodus/rpc';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { type ServiceFlags, withApi } from './api-session.ts';
import { isCertainRefusal } from './certain-refusal.ts';
import {
  readCredentialsFile,
  type ServiceAccountCredentials,
  writeCredentialsFile,
} from './credentials-file.ts';

/** The service may or may not have the new key. */
class OutcomeUnknownError extends CommandError {
  constructor(path: string, next: string, cause: unknown) {
    super(
      ExitCode.unreachable,
      'It is not known whether the service took the new key',
      `Keep ${path} and ${next}, and run the command again: it goes on with that key`,
      { cause },
    );
  }
}

/** What `rotateAccountKey` works on. */
interface Rotation {
  readonly flags: ServiceFlags;
  /** The credentials file. */
  readonly path: string;
  /** The same with the new key. */
  readonly next: string;
  readonly credentials: ServiceAccountCredentials;
}

/**
 * Gives the account of a credentials file a new key and rewrites the file, or brings an earlier attempt at that to its
 * end.
 *
 * @throws {CommandError} {RpcError}; `FILE.new` is gone only where the service certainly does not have its key
 */
export async function rotateAccountKey(path: string, flags: ServiceFlags): Promise<void> {
  const next = `${path}.new`;
  const rotation = { flags, path, next, credentials: await readCredentialsFile(path) };
  const begun = await readBegun(rotation);
  if (begun === undefined) await begin(rotation);
  else if (!(await isInForce(rotation))) await propose(rotation, begun.key);
  await rename(next, path);
}

/** The new key of an earlier attempt whose outcome is not known. */
async function readBegun({
  path,
  next,
  credentials,
}: Rotation): Promise<ServiceAccountCredentials | undefined> {
  const isThere = await access(next).then(
    () => true,
    () => false,
  );
  if (!isThere) return undefined;
  const begun = await readCredentialsFile(next);
  const { serviceUrl, serviceAccountId } = credentials;
  if (begun.serviceUrl === serviceUrl && begun.serviceAccountId === serviceAccountId) return begun;
  throw new CommandError(
    ExitCode.conflict,
    `${next} is not of the account of ${path}`,
    'Move it to where it belongs, and run the command again',
  );
}

async function begin(rotation: Rotation): Promise<void> {
  const { next, credentials } = rotation;
  const key = Ed25519PrivateKey.generate('service-account');
  await writeCredentialsFile(next, { ...credentials, key });
  try {
    await propose(rotation, key);
  } catch (error) {
    if (!(error instanceof OutcomeUnknownError)) await rm(next, { force: true });
    throw error;
  }
}

/** Whether the service takes the new key, and so the old one no more. */
async function isInForce({ flags, next }: Rotation): Promise<boolean> {
  try {
    await withApi({ ...flags, credentials: next }, ({ users }) => users.whoAmI({}));
    return true;
  } catch (error) {
    if (isRpcError(error, Status.UNAUTHENTICATED)) return false;
    throw error;
  }
}

async function propose(
  { flags, path, next, credentials }: Rotation,
  key: ServiceAccountCredentials['key'],
): Promise<void> {
  let isAsked = false;
  try {
    await withApi({ ...flags, credentials: path }, async ({ users, serviceAccounts }) => {
      // A service that is out of reach, or takes the old key no more, is found out before anything is at stake.
      await users.whoAmI({});
      isAsked = true;
      await serviceAccounts.rotateServiceAccountKey({
        id: credentials.serviceAccountId,
        publicKey: Buffer.from(key.publicKey),
      });
    });
  } catch (error) {
    if (!isAsked || isCertainRefusal(error)) throw error;
    throw new OutcomeUnknownError(path, next, error);
  }
}
