/**
 * Prepares an installation for docker-compose.yml: certificates, passwords, Keycloak's configuration and the `.env` file
 * without which compose refuses to start.
 *
 *     node tools/setup/run.mjs deploy/prepare.ts --host nexodus.example.org --address 203.0.113.7
 *
 * Nothing has a default password: every secret is drawn here, once, into files that only the caller reads. The containers
 * run as the caller, so that they may read them.
 */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { makeCertificates } from './make-certificates.ts';
import { databaseRoles } from './prepare-database.ts';
import { makePrivateFolder, PrepareError, runProgram, writeSecretFiles } from './secret-folder.ts';

/** What to prepare. */
export interface InstallationOptions {
  /** Folder of docker-compose.yml, for its `.env`. */
  readonly composeFolder: string;
  /** Folder for secrets and data, made with mode 0700. */
  readonly stateFolder: string;
  /** DNS name or address by which people and devices reach the installation. */
  readonly host: string;
  /** Address at which the STUN server is reached from outside. */
  readonly address: string;
  /** Addresses, besides their names, at which the internal services are reached. */
  readonly internalAddresses?: readonly string[];
  /** User and group the containers run as. */
  readonly user: { readonly uid: number; readonly gid: number };
  readonly now: Date;
}

/** 192 bits, more than anybody guesses, in letters that no file format gives a meaning. */
const PASSWORD_BYTES = 24;

/**
 * Writes everything that compose needs besides the files of this folder.
 *
 * @returns the fingerprint of the public authority, for `nexd up --ca-sha256`
 * @throws {PrepareError} when something is there already, or host or address cannot be used
 */
export async function prepareInstallation(options: InstallationOptions): Promise<string> {
  const { composeFolder, stateFolder, host, address, user, now } = options;
  if (!/^[A-Za-z0-9.:-]{1,253}$/.test(host))
    throw new PrepareError('--host must be a DNS name or an IP address');
  if (isIP(address) === 0) throw new PrepareError('--address must be an IP address');
  const secrets = join(stateFolder, 'secrets');
  await writeSecretFiles(composeFolder, {
    '.env': environment({ stateFolder, host, address, user }),
  });
  const fingerprint = await makeCertificates({
    folder: secrets,
    publicNames: [...new Set([host, address])],
    internalAddresses: options.internalAddresses,
    now,
  });
  const passwords = Object.fromEntries(databaseRoles.map((role) => [role, password()]));
  await writeSecretFiles(secrets, {
    'postgres-password': `${password()}\n`,
    ...Object.fromEntries(
      Object.entries(passwords).map(([role, text]) => [`${role}.database-password`, `${text}\n`]),
    ),
    'keycloak.conf': keycloakConfiguration(passwords['keycloak'] ?? ''),
  });
  for (const folder of ['postgres', 'nats']) await makePrivateFolder(join(stateFolder, folder));
  return fingerprint;
}

function password(): string {
  return randomBytes(PASSWORD_BYTES).toString('base64url');
}

/** An IPv6 address stands in brackets in a URL. */
function environment({
  stateFolder,
  host,
  address,
  user,
}: Pick<InstallationOptions, 'stateFolder' | 'host' | 'address' | 'user'>): string {
  const bracketed = (name: string): string => (isIP(name) === 6 ? `[${name}]` : name);
  return [
    'COMPOSE_PROJECT_NAME=nexodus',
    `NEXODUS_HOST=${bracketed(host)}`,
    `NEXODUS_ADDRESS=${bracketed(address)}`,
    `NEXODUS_STATE_DIR=${stateFolder}`,
    `NEXODUS_UID=${user.uid}`,
    `NEXODUS_GID=${user.gid}`,
    '',
  ].join('\n');
}

/** What of Keycloak's settings is secret; it reads no passwords from files of their own. */
function keycloakConfiguration(databasePassword: string): string {
  return [
    'db-username=keycloak',
    `db-password=${databasePassword}`,
    'bootstrap-admin-username=temporary-admin',
    `bootstrap-admin-password=${password()}`,
    '',
  ].join('\n');
}

if (import.meta.main) {
  await runProgram('prepare', async () => {
    const { values } = parseArgs({
      options: {
        host: { type: 'string' },
        address: { type: 'string' },
        state: { type: 'string', default: join(import.meta.dirname, 'state') },
      },
    });
    const { host, address, state } = values;
    if (host === undefined || address === undefined)
      throw new PrepareError('say how this installation is reached: --host NAME --address IP');
    const uid = process.getuid?.() ?? 0;
    if (uid === 0)
      throw new PrepareError('run it as the user that the containers shall run as, not as root');
    const fingerprint = await prepareInstallation({
      composeFolder: import.meta.dirname,
      stateFolder: resolve(state),
      host,
      address,
      user: { uid, gid: process.getgid?.() ?? 0 },
      now: new Date(),
    });
    process.stdout.write(
      `prepared ${resolve(state)}; next: docker compose -f deploy/docker-compose.yml up --build --detach\n` +
        `machines join with --service-url https://${host}:7443 --ca-sha256 ${fingerprint}\n`,
    );
  });
}
