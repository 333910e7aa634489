/**
 * Thrown for outside texts: no single certificate, no private key, a key of another certificate,
 * or no fingerprint. Its message never holds key material.
 */
export class InvalidCertificateError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvalidCertificateError';
  }
}
