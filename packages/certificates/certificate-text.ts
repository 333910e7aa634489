import { X509Certificate } from 'node:crypto';
import { InvalidCertificateError } from './invalid-certificate-error.ts';

const BEGIN = /-----BEGIN CERTIFICATE-----/g;
const FINGERPRINT = /^[0-9a-f]{64}$/;

/**
 * Reads a PEM text of exactly one certificate: were more accepted, one could be checked and
 * another be trusted. Throws InvalidCertificateError.
 */
export function readCertificate(pem: string): X509Certificate {
  if ((pem.match(BEGIN) ?? []).length !== 1) {
    throw new InvalidCertificateError('The text is not exactly one certificate in PEM.');
  }
  try {
    return new X509Certificate(pem);
  } catch {
    throw new InvalidCertificateError('The text is no certificate in PEM.');
  }
}

/** The canonical PEM (RFC 7468) of a certificate. Throws InvalidCertificateError. */
export function parseCertificate(pem: string): string {
  return readCertificate(pem).toString();
}

/**
 * SHA-256 of the certificate's DER as 64 lower-case hex digits: what `--ca-sha256` pins.
 * Throws InvalidCertificateError.
 */
export function certificateFingerprint(pem: string): string {
  return readCertificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
}

/**
 * Reads a fingerprint as people paste it: upper case, colons and white space around it are
 * accepted. Throws InvalidCertificateError.
 */
export function parseFingerprint(text: string): string {
  const fingerprint = text.trim().replaceAll(':', '').toLowerCase();
  if (!FINGERPRINT.test(fingerprint)) {
    throw new InvalidCertificateError('A certificate fingerprint is 64 hexadecimal digits.');
  }
  return fingerprint;
}

/**
 * Whether a certificate should be replaced: less than a third of its life is left, or it is not
 * valid yet. Throws InvalidCertificateError.
 */
export function needsRenewal(pem: string, now: Date): boolean {
  const { validFromDate, validToDate } = readCertificate(pem);
  const remainingMs = validToDate.getTime() - now.getTime();
  const lifetimeMs = validToDate.getTime() - validFromDate.getTime();
  return now < validFromDate || remainingMs * 3 < lifetimeMs;
}
