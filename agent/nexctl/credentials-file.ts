import { readFile, stat } from 'node:fs/promises';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { z } from 'zod';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { writeFileAtomically } from '../state/atomic-file.ts';

/** A service account and where it is known: the content of a credentials file. */
export interface ServiceAccountCredentials {
  readonly serviceUrl: string;
  /** CA of the service, PEM; absent: the system's. */
  readonly caPem?: string;
  readonly serviceAccountId: string;
  readonly key: Ed25519PrivateKey<'service-account'>;
}

const schema = z.strictObject({
  service_url: z.string(),
  ca_pem: z.string().optional(),
  service_account_id: z.string(),
  private_key: z.string(),
});

/** Permissions that anybody but the owner has. */
const OTHERS = 0o077;

/**
 * Reads a credentials file.
 *
 * @throws {CommandError} `credentials` for one that others may read, that is damaged, or that is not there
 */
export async function readCredentialsFile(path: string): Promise<ServiceAccountCredentials> {
  const { mode, text } = await open(path);
  if ((mode & OTHERS) !== 0) {
    throw refused(
      `The credentials file ${path} can be used by others (mode 0${(mode & 0o777).toString(8)})`,
      `Run \`chmod 600 ${path}\`; if others could read it, change the key with \`nexctl admin bootstrap rotate\``,
    );
  }
  try {
    const fields = schema.parse(JSON.parse(text));
    return {
      serviceUrl: fields.service_url,
      caPem: fields.ca_pem,
      serviceAccountId: fields.service_account_id,
      key: Ed25519PrivateKey.fromBase64(fields.private_key, 'service-account'),
    };
  } catch {
    // What is wrong with it is not said in detail: the text holds a private key.
    throw refused(`The credentials file ${path} is damaged`, 'Restore it, or use another account');
  }
}

/** Replaces a credentials file whole, mode 0600. @throws {StateError} and leaves the file as it was */
export async function writeCredentialsFile(
  path: string,
  credentials: ServiceAccountCredentials,
): Promise<void> {
  const text = JSON.stringify(
    {
      service_url: credentials.serviceUrl,
      ca_pem: credentials.caPem,
      service_account_id: credentials.serviceAccountId,
      private_key: credentials.key.exportBase64(),
    },
    undefined,
    2,
  );
  await writeFileAtomically(path, Buffer.from(`${text}\n`), { keepsPrevious: false });
}

async function open(path: string): Promise<{ mode: number; text: string }> {
  try {
    return { mode: (await stat(path)).mode, text: await readFile(path, 'utf8') };
  } catch (cause) {
    throw refused(
      `The credentials file ${path} cannot be read`,
      'Name another with --credentials or NEXCTL_CREDENTIALS, or log in with `nexctl login`',
      cause,
    );
  }
}

function refused(message: string, remedy: string, cause?: unknown): CommandError {
  return new CommandError(ExitCode.credentials, message, remedy, { cause });
}
