import { createCertificateAuthority, issueServiceCertificate } from '@nexodus/certificates';
import type { ClientTls, ServerTls } from '@nexodus/rpc';
import { internalServerName } from '@nexodus/service-process';

/** What the services of this process show to each other. */
export interface InternalCertificates {
  server: ServerTls;
  /** What one service shows to, and demands of, another. */
  towards(caller: string, service: string): ClientTls;
}

/** Longer than a process runs. */
const years = 10;

/**
 * A CA of its own for the calls between the services of one process, and a certificate for each service. They live in
 * memory and end with the process, so that no key of theirs can be read from the disk.
 */
export async function createInternalCertificates(
  services: readonly string[],
  now: Date,
): Promise<InternalCertificates> {
  const ca = await createCertificateAuthority({ commonName: 'Nexodus internal CA', now, years });
  const issue = (service: string, dnsNames: string[]) =>
    issueServiceCertificate({ ca, service, dnsNames, ipAddresses: [], now, days: years * 365 });
  const server = await issue('standalone', services.map(internalServerName));
  const clients = new Map<string, { certificate: string; key: string }>();
  for (const service of services) {
    const { certificatePem, key } = await issue(service, [internalServerName(service)]);
    clients.set(service, { certificate: certificatePem, key: key.exportPem() });
  }
  return {
    server: {
      certificate: server.certificatePem,
      key: server.key.exportPem(),
      clientCa: ca.certificatePem,
    },
    towards: (caller, service) => {
      const own = clients.get(caller);
      if (own === undefined) throw new Error(`${caller} has no certificate`);
      return { ca: ca.certificatePem, ...own, serverName: internalServerName(service) };
    },
  };
}
