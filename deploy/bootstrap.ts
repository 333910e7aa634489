/**
 * Makes the first organization of an installation, its owner, and a service account by which scripts administer it, so that
 * nobody has to log in by a browser first:
 *
 *     node tools/setup/run.mjs deploy/bootstrap.ts --url postgres://postgres@HOST/nexodus --password-file FILE \
 *       --service-url https://nexodus.example.org:7443 --ca deploy/state/secrets/public-ca.pem --organization example \
 *       --owner-issuer https://nexodus.example.org:8443/realms/nexodus --owner-subject ID --owner-email MAIL \
 *       --credentials FILE
 *
 * The private key of the account is drawn here and stands in FILE (0600) alone: use it by `nexctl --credentials FILE`, and
 * disable the account by `nexctl admin bootstrap disable` once it is not needed. Services may run meanwhile.
 */
import { open, readFile, rm } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type BootstrapSeed, openBootstrap } from '@nexodus/apiserver';
import { systemClock } from '@nexodus/clock';
import { openDatabase } from '@nexodus/database';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { PrepareError, runProgram } from './secret-folder.ts';

/** What to make, and where. */
interface BootstrapOptions {
  /** The database of the installation, as a role that may act as the role `apiserver`. */
  readonly databaseUrl: string;
  /** Origin by which machines know the service. */
  readonly serviceUrl: string;
  /** CA of the service's public certificate, PEM; absent: the system's. */
  readonly caPem?: string;
  /** Name of the organization: a DNS label. */
  readonly organization: string;
  /** Who owns it, by what the issuer says of this person at login. */
  readonly owner: BootstrapSeed['owner'];
  /** File for the account's credentials; must not be there yet. */
  readonly credentialsFile: string;
}

const ACCOUNT_NAME = 'bootstrap';

/**
 * Makes all of it in one transaction, and then writes the credentials. Should that last step fail, the owner makes another
 * account after a login.
 *
 * @throws {PrepareError} when the credentials file is there, or the installation has its account already
 */
async function bootstrapInstallation(options: BootstrapOptions): Promise<void> {
  const file = await open(options.credentialsFile, 'wx', 0o600).catch((cause: unknown) => {
    throw new PrepareError(
      `${options.credentialsFile} cannot be made; it must not be there yet, and its folder must`,
      { cause },
    );
  });
  try {
    const key = Ed25519PrivateKey.generate('service-account');
    const serviceAccountId = await makeAccount(options, key.publicKey);
    const credentials = {
      service_url: options.serviceUrl,
      ca_pem: options.caPem,
      service_account_id: serviceAccountId,
      private_key: key.exportBase64(),
    };
    await file.writeFile(`${JSON.stringify(credentials, undefined, 2)}\n`);
    await file.sync();
  } catch (error) {
    await rm(options.credentialsFile);
    throw error;
  } finally {
    await file.close();
  }
}

async function makeAccount(options: BootstrapOptions, publicKey: Uint8Array): Promise<string> {
  const { databaseUrl, organization, owner } = options;
  const database = openDatabase({
    connection: databaseUrl,
    schema: 'apiserver',
    role: 'apiserver',
    applicationName: 'nexodus-bootstrap',
    clock: systemClock,
    random: Math.random,
    poolMax: 1,
  });
  try {
    const bootstrap = await openBootstrap(database);
    if ((await bootstrap.find()) !== undefined)
      throw new PrepareError('this installation has its bootstrap account already');
    const made = await bootstrap.ensure({
      organizationName: organization,
      owner,
      serviceAccount: { name: ACCOUNT_NAME, publicKey },
    });
    if (made.serviceAccountId === undefined)
      throw new PrepareError('the bootstrap account was deleted while it was made');
    return made.serviceAccountId;
  } finally {
    await database.close();
  }
}

async function run(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      url: text,
      'password-file': text,
      'service-url': text,
      ca: text,
      organization: text,
      'owner-issuer': text,
      'owner-subject': text,
      'owner-email': text,
      credentials: text,
    },
  });
  const needed = (name: keyof typeof values): string => {
    const value = values[name];
    if (value === undefined) throw new PrepareError(`--${name} is missing`);
    return value;
  };
  const url = new URL(needed('url'));
  const passwordFile = values['password-file'];
  if (passwordFile !== undefined) url.password = (await readFile(passwordFile, 'utf8')).trim();
  const email = needed('owner-email');
  const credentialsFile = needed('credentials');
  await bootstrapInstallation({
    databaseUrl: url.href,
    serviceUrl: needed('service-url'),
    caPem: values.ca === undefined ? undefined : await readFile(values.ca, 'utf8'),
    organization: needed('organization'),
    owner: {
      issuer: needed('owner-issuer'),
      subject: needed('owner-subject'),
      email,
      displayName: email,
    },
    credentialsFile,
  });
  process.stdout.write(`next: npx nexctl --credentials ${credentialsFile} reg-key create\n`);
}

if (import.meta.main) await runProgram('bootstrap', run);
