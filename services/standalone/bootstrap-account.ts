import type { ApiserverModule, BootstrapSeed } from '@nexodus/apiserver';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { z } from 'zod';
import type { DataDirectory } from './data-directory.ts';

/** File by which scripts authenticate: `nexctl --credentials FILE`. */
const credentialsFile = 'bootstrap-credentials.json';

/** Holds the key between its making and the account's. */
const pendingKeyFile = 'bootstrap-key.new';

const organizationName = 'demo';
const accountName = 'bootstrap';

const credentialsSchema = z.object({
  service_url: z.string(),
  ca_pem: z.string(),
  service_account_id: z.string(),
  private_key: z.string(),
});

type AccountKey = Ed25519PrivateKey<'service-account'>;

/** The bootstrap service account. */
export interface BootstrapAccount {
  /** Undefined when the account was deleted. */
  id: string | undefined;
  vpcId: string;
  isEnabled: boolean;
  /** Path of its credentials, and its key; undefined when the file was removed. */
  credentials: { path: string; key: AccountKey } | undefined;
}

/** What the account belongs to. */
export interface BootstrapAccountOptions {
  apiserver: Pick<ApiserverModule, 'bootstrap'>;
  directory: DataDirectory;
  owner: BootstrapSeed['owner'];
  serviceUrl: string;
  caPem: string;
}

/**
 * Makes the demo organization and the service account at the first start, and keeps the URL and the CA in its credentials
 * in step with the service. The private key is on the disk before the account is in the database, so that no crash leaves
 * an account without its key.
 */
export async function ensureBootstrapAccount(
  options: BootstrapAccountOptions,
): Promise<BootstrapAccount> {
  const { apiserver, directory, owner } = options;
  const found = await apiserver.bootstrap.find();
  const known = readKey(directory) ?? readPendingKey(directory);
  const isGone = found !== undefined && found.serviceAccountId === undefined;
  if (found !== undefined && (isGone || known === undefined)) return accountOf(found, undefined);
  const key = known ?? (await makeKey(directory));
  const serviceAccount = { name: accountName, publicKey: key.publicKey };
  const made = await apiserver.bootstrap.ensure({ organizationName, owner, serviceAccount });
  if (made.serviceAccountId !== undefined)
    await writeCredentials(options, made.serviceAccountId, key);
  await directory.remove(pendingKeyFile);
  return accountOf(made, { path: directory.file(credentialsFile), key });
}

function accountOf(
  found: { serviceAccountId: string | undefined; vpcId: string; isServiceAccountEnabled: boolean },
  credentials: BootstrapAccount['credentials'],
): BootstrapAccount {
  return {
    id: found.serviceAccountId,
    vpcId: found.vpcId,
    isEnabled: found.isServiceAccountEnabled,
    credentials,
  };
}

function readKey(directory: DataDirectory): AccountKey | undefined {
  const text = directory.read(credentialsFile);
  if (text === undefined) return undefined;
  try {
    const { private_key: privateKey } = credentialsSchema.parse(JSON.parse(text));
    return Ed25519PrivateKey.fromBase64(privateKey, 'service-account');
  } catch {
    // Its text may hold the key: nothing of it is repeated.
    throw new Error(`${directory.file(credentialsFile)} is damaged: put it back, or remove it`);
  }
}

function readPendingKey(directory: DataDirectory): AccountKey | undefined {
  const text = directory.read(pendingKeyFile)?.trim();
  return text === undefined ? undefined : Ed25519PrivateKey.fromBase64(text, 'service-account');
}

async function makeKey(directory: DataDirectory): Promise<AccountKey> {
  const key = Ed25519PrivateKey.generate('service-account');
  await directory.write(pendingKeyFile, `${key.exportBase64()}\n`);
  return key;
}

async function writeCredentials(
  { directory, serviceUrl, caPem }: BootstrapAccountOptions,
  id: string,
  key: AccountKey,
): Promise<void> {
  const fields: z.input<typeof credentialsSchema> = {
    service_url: serviceUrl,
    ca_pem: caPem,
    service_account_id: id,
    private_key: key.exportBase64(),
  };
  const text = `${JSON.stringify(fields, undefined, 2)}\n`;
  if (directory.read(credentialsFile) !== text) await directory.write(credentialsFile, text);
}
