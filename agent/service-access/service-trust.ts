import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { DetailedPeerCertificate } from 'node:tls';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { explainConnectFailure } from './explain-connect-failure.ts';
import { connectTls } from './connect-tls.ts';
import { type ProxySettings, proxyTo } from './proxy-settings.ts';
import type { ServiceUrl } from './service-url.ts';

/** How a person says which CA to believe; at most one of the first two. */
export interface TrustWish {
  /** File with the CA's certificate in PEM. */
  readonly caFile?: string;
  /** SHA-256 fingerprint of the CA's certificate. */
  readonly caSha256?: string;
  /** CA that was believed before, PEM. */
  readonly storedCa?: string;
}

/** A presented chain longer than this is not followed (RFC 5280 knows no limit; real chains have up to five). */
const LONGEST_CHAIN = 10;

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * The CA to believe from now on, PEM; undefined: those of the system. A pin makes one connection that believes nobody,
 * only to read which certificates the service shows; the one with that fingerprint is the CA, and only it is believed.
 *
 * @throws {CommandError} `untrusted` when none has it, `usage` for an unreadable file or pin, `unreachable`
 */
export async function resolveTrust(
  service: ServiceUrl,
  wish: TrustWish,
  proxies: ProxySettings,
): Promise<string | undefined> {
  if (wish.caFile !== undefined && wish.caSha256 !== undefined) {
    throw new CommandError(ExitCode.usage, '--ca and --ca-sha256 exclude each other', 'Use one');
  }
  if (wish.caFile !== undefined) return readCaFile(wish.caFile);
  if (wish.caSha256 === undefined) return wish.storedCa;
  const pin = readPin(wish.caSha256);
  if (wish.storedCa !== undefined && hasFingerprint(wish.storedCa, pin)) return wish.storedCa;
  return fetchPinnedCa(service, pin, proxies);
}

async function readCaFile(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    const remedy = 'Name the PEM file with the certificate of the CA';
    throw new CommandError(ExitCode.usage, `The CA file ${path} cannot be read`, remedy, { cause });
  });
  const certificates = text.match(PEM_CERTIFICATE) ?? [];
  try {
    if (certificates.length > 0) return certificates.map(canonicalPem).join('');
  } catch {
    // Said below: some of it is no certificate.
  }
  throw new CommandError(
    ExitCode.usage,
    `The CA file ${path} does not hold a certificate`,
    'Name the PEM file with the certificate of the CA',
  );
}

function canonicalPem(pem: string): string {
  return new X509Certificate(pem).toString();
}

/** Reads a pin as people paste it: in upper case, with colons, with "sha256:" before it. */
function readPin(text: string): string {
  const pin = normalizeFingerprint(text.trim().replace(/^sha256:/i, ''));
  if (/^[0-9a-f]{64}$/.test(pin)) return pin;
  throw new CommandError(
    ExitCode.usage,
    '--ca-sha256 is not the fingerprint of a certificate, which is 64 hexadecimal digits',
    'Copy it again',
  );
}

function normalizeFingerprint(text: string): string {
  return text.replaceAll(':', '').toLowerCase();
}

function fingerprintOf(certificate: X509Certificate): string {
  return normalizeFingerprint(certificate.fingerprint256);
}

/** False also for a text of several certificates: then a connection tells which of them is meant. */
function hasFingerprint(pem: string, pin: string): boolean {
  if ((pem.match(PEM_CERTIFICATE) ?? []).length !== 1) return false;
  return fingerprintOf(new X509Certificate(pem)) === pin;
}

/** Reads the chain that the service shows and picks the pinned certificate. */
async function fetchPinnedCa(
  service: ServiceUrl,
  pin: string,
  proxies: ProxySettings,
): Promise<string> {
  const chain = await readPresentedChain(service, proxies);
  const found = chain.find((certificate) => fingerprintOf(certificate) === pin);
  if (found?.ca === true) return found.toString();
  if (found !== undefined) {
    throw new CommandError(
      ExitCode.untrusted,
      'The pinned certificate is not one of a CA',
      "Give the fingerprint of the CA's certificate, which the service prints at its start",
    );
  }
  const shown = chain.map((certificate) => fingerprintOf(certificate)).at(-1) ?? 'of none';
  const proxy = proxyTo(proxies, service);
  throw new CommandError(
    ExitCode.untrusted,
    proxy === undefined
      ? `The service at ${service.origin} shows a CA with the fingerprint ${shown}, not ${pin}`
      : `Through the proxy ${proxy.origin}, ${service.origin} shows a CA with the fingerprint ${shown}, not ${pin}: unless the pin is wrong, the proxy intercepts TLS`,
    proxy === undefined
      ? 'Compare with what the service prints at its start; if they differ, somebody may be in between'
      : `Compare with what the service prints at its start; if the pin is right, let the proxy's operator exempt ${service.host} from inspection`,
  );
}

/** Nothing is believed and nothing is sent on this connection: it only shows certificates to compare with the pin. */
async function readPresentedChain(
  service: ServiceUrl,
  proxies: ProxySettings,
): Promise<X509Certificate[]> {
  const socket = await connectTls(service, proxies, 'anybody').catch((error: unknown) => {
    throw explainConnectFailure({ service, proxies }, error);
  });
  const chain = unroll(socket.getPeerCertificate(true));
  socket.destroy();
  return chain;
}

function unroll(leaf: DetailedPeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let certificate: DetailedPeerCertificate | undefined = leaf;
  while (certificate?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    chain.push(new X509Certificate(certificate.raw));
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer;
  }
  return chain;
}
