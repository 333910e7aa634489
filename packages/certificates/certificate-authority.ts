import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { formatIpAddress, parseIpAddress } from '@nexodus/netip';
import { x509 } from './x509.ts';
import { CertificateKey, KEY_ALGORITHM } from './certificate-key.ts';
import { parseCertificate, readCertificate } from './certificate-text.ts';
import { InvalidCertificateError } from './invalid-certificate-error.ts';
import { serviceUri } from './service-name.ts';

/** A certificate and its private key. */
export interface IssuedCertificate {
  /** PEM of the one certificate. */
  readonly certificatePem: string;
  readonly key: CertificateKey;
}

/** A CA: certificate and key with which certificates are issued. */
export type CertificateAuthority = IssuedCertificate;

/** What a new CA is called and how long it lives. */
export interface CertificateAuthorityOptions {
  /** 1 to 64 letters, digits, spaces and . , ' ( ) _ - */
  readonly commonName: string;
  readonly now: Date;
  /** Life in years of 365 days. */
  readonly years: number;
}

/** Whom a certificate is for and how long it lives. */
export interface ServerCertificateOptions {
  readonly ca: CertificateAuthority;
  readonly dnsNames: readonly string[];
  /** In text form, IPv4 or IPv6. */
  readonly ipAddresses: readonly string[];
  readonly now: Date;
  /** Life in days, cut at the CA's end. */
  readonly days: number;
}

/** As for a server, and the service's name. */
export interface ServiceCertificateOptions extends ServerCertificateOptions {
  /** The service's name, "apiserver": lower-case letters, digits and hyphens. */
  readonly service: string;
}

/** Validity begins so much before `now`, for machines whose clocks are a little behind. */
const BACKDATED_MS = 5 * 60 * 1000;
const DAY_MS = 24 * 60 * 60 * 1000;

/** 128 bits, as RFC 5280 section 4.1.2.2 allows up to 20 bytes. */
const SERIAL_BYTES = 16;

/** Letters, digits and hyphens (RFC 1123 section 2.1), a wildcard as first label allowed. */
const DNS_NAME =
  /^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** What the library keeps as it is: it reads meaning into quotes and "#". */
const COMMON_NAME = /^[\p{L}\p{N} .,'()_-]{1,64}$/u;

/**
 * Makes a CA that signs end-entity certificates only (path length 0), ECDSA P-256. Throws
 * RangeError for a bad common name.
 */
export async function createCertificateAuthority(
  options: CertificateAuthorityOptions,
): Promise<CertificateAuthority> {
  const { commonName, now, years } = options;
  if (!COMMON_NAME.test(commonName)) throw new RangeError('The common name of a CA is plain text.');
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: createSerial(),
    name: [{ CN: [commonName] }],
    notBefore: new Date(now.getTime() - BACKDATED_MS),
    notAfter: new Date(now.getTime() + years * 365 * DAY_MS),
    signingAlgorithm: KEY_ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return toIssued(certificate, keys);
}

/**
 * Issues a TLS server certificate for names and addresses, at least one. Rejects with RangeError
 * for a bad name or none at all, with netip's InvalidAddressError for a bad address.
 */
export async function issueServerCertificate(
  options: ServerCertificateOptions,
): Promise<IssuedCertificate> {
  return issue(options, {
    commonName: 'Nexodus server',
    uris: [],
    usages: [x509.ExtendedKeyUsage.serverAuth],
  });
}

/**
 * Issues a certificate with which a service both serves and calls others (mTLS); the URI
 * "nexodus:service/<name>" in it says which service it is. Rejects
 * with RangeError for a bad name, with netip's InvalidAddressError for a bad address.
 */
export async function issueServiceCertificate(
  options: ServiceCertificateOptions,
): Promise<IssuedCertificate> {
  return issue(options, {
    commonName: options.service,
    uris: [serviceUri(options.service)],
    usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
  });
}

/**
 * Reads a certificate and its key from their PEM files. Throws InvalidCertificateError for either,
 * and when they do not belong together.
 */
export function parseIssuedCertificate(files: {
  readonly certificatePem: string;
  readonly keyPem: string;
}): IssuedCertificate {
  const key = CertificateKey.fromPem(files.keyPem);
  const certificate = readCertificate(files.certificatePem);
  if (!certificate.checkPrivateKey(createPrivateKey(key.exportPem()))) {
    throw new InvalidCertificateError('The private key does not belong to the certificate.');
  }
  return { certificatePem: certificate.toString(), key };
}

interface Holder {
  readonly commonName: string;
  readonly uris: readonly string[];
  readonly usages: readonly string[];
}

async function issue(
  options: ServerCertificateOptions,
  holder: Holder,
): Promise<IssuedCertificate> {
  const { ca, now, days } = options;
  const names = alternativeNames(options, holder);
  if (names.length === 0) throw new RangeError('A certificate needs a name or an address.');
  const issuer = new x509.X509Certificate(ca.certificatePem);
  const keys = await generateKeys();
  const endMs = Math.min(now.getTime() + days * DAY_MS, issuer.notAfter.getTime());
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: createSerial(),
    subject: [{ CN: [holder.commonName] }],
    issuer: issuer.subjectName,
    notBefore: new Date(now.getTime() - BACKDATED_MS),
    notAfter: new Date(endMs),
    signingAlgorithm: KEY_ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await ca.key.toSigningKey(),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([...holder.usages]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return toIssued(certificate, keys);
}

/** Checked here, since the library writes down what it does not understand. */
function alternativeNames(
  options: ServerCertificateOptions,
  holder: Holder,
): { type: 'dns' | 'ip' | 'url'; value: string }[] {
  const unfit = options.dnsNames.find((name) => name.length > 253 || !DNS_NAME.test(name));
  if (unfit !== undefined) throw new RangeError(`"${unfit}" is no DNS name.`);
  const addresses = options.ipAddresses.map((text) => formatIpAddress(parseIpAddress(text)));
  return [
    ...options.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...addresses.map((value) => ({ type: 'ip' as const, value })),
    ...holder.uris.map((value) => ({ type: 'url' as const, value })),
  ];
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
}

/** Positive, not zero and of constant length: the top bits are 01. */
function createSerial(): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial.toString('hex');
}

async function toIssued(
  certificate: { toString(format: 'pem'): string },
  keys: webcrypto.CryptoKeyPair,
): Promise<IssuedCertificate> {
  return {
    certificatePem: parseCertificate(certificate.toString('pem')),
    key: await CertificateKey.fromCryptoKey(keys.privateKey),
  };
}
