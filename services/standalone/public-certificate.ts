import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  type CertificateAuthority,
  certificateFingerprint,
  createCertificateAuthority,
  issueServerCertificate,
  needsRenewal,
  parseIssuedCertificate,
} from '@nexodus/certificates';
import type { ServerTls } from '@nexodus/rpc';
import type { DataDirectory } from './data-directory.ts';

const caYears = 20;

/** Under what devices of some makers accept of a CA that a person installed (825 days). */
const certificateDays = 820;

/** The service's CA and what it issued to the public servers. */
export interface PublicCertificate {
  caPem: string;
  /** SHA-256 of the CA's certificate: what `--ca-sha256` pins. */
  caFingerprint: string;
  /** Its chain includes the CA, so that a client that knows only the pin finds the CA in the handshake. */
  tls: Pick<ServerTls, 'certificate' | 'key'>;
}

/**
 * Reads CA and server certificate, making what is missing. The server certificate is issued anew when it lacks one of
 * the hosts or less than a third of its life is left; the CA never is, since people pinned it.
 */
export async function ensurePublicCertificate(
  directory: DataDirectory,
  hosts: readonly string[],
  now: Date,
): Promise<PublicCertificate> {
  const ca = await ensureAuthority(directory, now);
  const server =
    usableServer(directory, { ca, hosts, now }) ?? (await issue(directory, { ca, hosts, now }));
  return {
    caPem: ca.certificatePem,
    caFingerprint: certificateFingerprint(ca.certificatePem),
    tls: {
      certificate: `${server.certificatePem.trimEnd()}\n${ca.certificatePem}`,
      key: server.key.exportPem(),
    },
  };
}

async function ensureAuthority(directory: DataDirectory, now: Date): Promise<CertificateAuthority> {
  const [certificatePem, keyPem] = [directory.read('ca.pem'), directory.read('ca.key')];
  if (keyPem !== undefined && certificatePem !== undefined)
    return parseIssuedCertificate({ certificatePem, keyPem });
  if (certificatePem !== undefined) {
    throw new Error(
      `${directory.file('ca.key')} is missing: put it back, or remove ca.pem and join all machines again`,
    );
  }
  const ca = await createCertificateAuthority({ commonName: 'Nexodus CA', now, years: caYears });
  // The certificate last: a CA whose key was lost is of no use.
  await directory.write('ca.key', ca.key.exportPem());
  await directory.write('ca.pem', ca.certificatePem, 'public');
  return ca;
}

interface Wanted {
  ca: CertificateAuthority;
  hosts: readonly string[];
  now: Date;
}

function usableServer(
  directory: DataDirectory,
  { ca, hosts, now }: Wanted,
): CertificateAuthority | undefined {
  const [certificatePem, keyPem] = [directory.read('server.pem'), directory.read('server.key')];
  if (certificatePem === undefined || keyPem === undefined) return undefined;
  try {
    const issued = parseIssuedCertificate({ certificatePem, keyPem });
    const certificate = new X509Certificate(issued.certificatePem);
    const isOurs = certificate.verify(new X509Certificate(ca.certificatePem).publicKey);
    const holds = (host: string): boolean =>
      (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
    return isOurs && !needsRenewal(certificatePem, now) && hosts.every(holds) ? issued : undefined;
  } catch {
    // Half written or of another key: it is issued anew.
    return undefined;
  }
}

async function issue(
  directory: DataDirectory,
  { ca, hosts, now }: Wanted,
): Promise<CertificateAuthority> {
  const issued = await issueServerCertificate({
    ca,
    dnsNames: hosts.filter((host) => isIP(host) === 0),
    ipAddresses: hosts.filter((host) => isIP(host) !== 0),
    now,
    days: certificateDays,
  });
  await directory.write('server.key', issued.key.exportPem());
  await directory.write('server.pem', issued.certificatePem, 'public');
  return issued;
}
