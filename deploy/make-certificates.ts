/**
 * Makes the certificates and the root secret of an installation:
 *
 *     node deploy/make-certificates.ts --folder DIR --public-name NAME_OR_ADDRESS [--public-name ...]
 *
 * Two authorities that do not know each other: one for the services among themselves, one that devices and browsers
 * trust. Whoever holds a certificate of the second can never pass as a service.
 */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import {
  certificateFingerprint,
  createCertificateAuthority,
  issueServerCertificate,
  issueServiceCertificate,
  type IssuedCertificate,
} from '@nexodus/certificates';
import { ROOT_SECRET_BYTES } from '@nexodus/device-identity';
import { PrepareError, runProgram, writeSecretFiles } from './secret-folder.ts';

/** The services: each gets a certificate by which it serves, and by which it says who it is where it calls. */
export const internalServices = ['apiserver', 'ipam', 'policy', 'stun', 'relay'] as const;

/** What the services talk to: certificates that only serve. */
const internalServers = ['nats', 'postgres', 'otel-collector'] as const;

/** What to make. */
export interface CertificatesOptions {
  /** Where to; made with mode 0700. Files that are there are never overwritten. */
  readonly folder: string;
  /** DNS names and addresses at which devices and browsers reach the installation. */
  readonly publicNames: readonly string[];
  /** Addresses, besides their names, at which the internal services are reached. */
  readonly internalAddresses?: readonly string[];
  readonly now: Date;
}

/** Life of an authority, in years: as long as an installation is likely to stay as it is. */
const AUTHORITY_YEARS = 10;

/** Life of a certificate, in days: the most that browsers accept since 2020. Renewal is in docs/operations/deploy.md. */
const CERTIFICATE_DAYS = 397;

/**
 * Writes `internal-ca.pem`, `internal-ca.key`, `<service>.pem` and `<service>.key` for each service and server,
 * `public-ca.pem`, `public-ca.key`, `public.pem`, `public.key`, the same for what the relay shows (`relay-public`), and
 * `root-secret`, all 0600.
 *
 * @returns the fingerprint of the public authority, for `nexd up --ca-sha256`
 * @throws {PrepareError} when a file is there already or no public name was given
 */
export async function makeCertificates(options: CertificatesOptions): Promise<string> {
  const { folder, publicNames, now } = options;
  if (publicNames.length === 0)
    throw new PrepareError('name at least one public name or address (--public-name)');
  const publicAuthority = await createCertificateAuthority({
    commonName: 'Nexodus public CA',
    now,
    years: AUTHORITY_YEARS,
  });
  const issue = (): Promise<IssuedCertificate> =>
    issueServerCertificate({
      ca: publicAuthority,
      dnsNames: publicNames.filter((name) => isIP(name) === 0),
      ipAddresses: publicNames.filter((name) => isIP(name) !== 0),
      now,
      days: CERTIFICATE_DAYS,
    });
  const [server, relay] = [await issue(), await issue()];
  // With the authority's own, which is not sent otherwise: `nexd up --ca-sha256` looks for it in what the service shows.
  const chainOf = ({ certificatePem }: IssuedCertificate): string =>
    `${certificatePem.trimEnd()}\n${publicAuthority.certificatePem}`;
  await writeSecretFiles(folder, {
    ...(await internalFiles(options)),
    'public-ca.pem': publicAuthority.certificatePem,
    'public-ca.key': publicAuthority.key.exportPem(),
    'public.pem': chainOf(server),
    'public.key': server.key.exportPem(),
    'relay-public.pem': chainOf(relay),
    'relay-public.key': relay.key.exportPem(),
    'root-secret': `${randomBytes(ROOT_SECRET_BYTES).toString('hex')}\n`,
  });
  return certificateFingerprint(publicAuthority.certificatePem);
}

async function internalFiles({
  internalAddresses = [],
  now,
}: CertificatesOptions): Promise<Record<string, string>> {
  const ca = await createCertificateAuthority({
    commonName: 'Nexodus internal CA',
    now,
    years: AUTHORITY_YEARS,
  });
  const files: Record<string, string> = {
    'internal-ca.pem': ca.certificatePem,
    'internal-ca.key': ca.key.exportPem(),
  };
  const add = (name: string, issued: IssuedCertificate): void => {
    files[`${name}.pem`] = issued.certificatePem;
    files[`${name}.key`] = issued.key.exportPem();
  };
  const common = { ca, ipAddresses: internalAddresses, now, days: CERTIFICATE_DAYS };
  // nats-server takes the first DNS name of a certificate for the user's name.
  const names = (name: string): string[] => [`${name}.nexodus.internal`, name];
  for (const service of internalServices)
    add(service, await issueServiceCertificate({ ...common, service, dnsNames: names(service) }));
  for (const server of internalServers)
    add(server, await issueServerCertificate({ ...common, dnsNames: names(server) }));
  return files;
}

if (import.meta.main) {
  await runProgram('make-certificates', async () => {
    const { values } = parseArgs({
      options: {
        folder: { type: 'string' },
        'public-name': { type: 'string', multiple: true, default: [] },
      },
    });
    if (values.folder === undefined) throw new PrepareError('say where to with --folder DIR');
    const fingerprint = await makeCertificates({
      folder: values.folder,
      publicNames: values['public-name'],
      now: new Date(),
    });
    process.stdout.write(`certificates are in ${values.folder}; the public CA: ${fingerprint}\n`);
  });
}
