import { x509 } from './x509.ts';

const PREFIX = 'nexodus:service/';
const NAME = /^[a-z][a-z0-9-]{0,62}$/;

/** The URI by which a service's certificate names it. Throws RangeError for a bad name. */
export function serviceUri(service: string): string {
  if (!NAME.test(service)) {
    throw new RangeError('A service name is lower-case letters, digits and hyphens.');
  }
  return PREFIX + service;
}

/**
 * The service that a peer's certificate (DER) names, from the URI in its subject alternative
 * name; undefined when it names none or several, or is no certificate. Says nothing by itself:
 * the TLS layer must have verified the certificate against the service CA before.
 */
export function peerServiceName(der: Uint8Array): string | undefined {
  const services = readUris(der).filter((uri) => uri.startsWith(PREFIX));
  const name = services[0]?.slice(PREFIX.length);
  return services.length === 1 && name !== undefined && NAME.test(name) ? name : undefined;
}

function readUris(der: Uint8Array): string[] {
  try {
    const certificate = new x509.X509Certificate(new Uint8Array(der));
    const extension = certificate.getExtension(x509.SubjectAlternativeNameExtension);
    const names = extension?.names.items ?? [];
    return names.filter((name) => name.type === 'url').map((name) => name.value);
  } catch {
    return [];
  }
}
