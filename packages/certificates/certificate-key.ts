import { createPrivateKey, webcrypto } from 'node:crypto';
import { inspect } from 'node:util';
import { InvalidCertificateError } from './invalid-certificate-error.ts';

/** Keys are ECDSA on P-256, signatures ECDSA with SHA-256 (RFC 5480, RFC 5758). */
export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** The private key of a certificate. It cannot be printed; `exportPem` is for files and TLS. */
export class CertificateKey {
  readonly #pem: string;

  private constructor(pem: string) {
    this.#pem = pem;
  }

  /** Takes a PKCS #8 private key in PEM (RFC 7468). Throws InvalidCertificateError. */
  static fromPem(pem: string): CertificateKey {
    try {
      const key = createPrivateKey({ key: pem, format: 'pem' });
      return new CertificateKey(key.export({ format: 'pem', type: 'pkcs8' }).toString());
    } catch {
      throw new InvalidCertificateError('The text is no private key in PEM.');
    }
  }

  /** Takes over a private key that WebCrypto generated as extractable. */
  static async fromCryptoKey(key: webcrypto.CryptoKey): Promise<CertificateKey> {
    const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
    const pem = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    return new CertificateKey(pem.export({ format: 'pem', type: 'pkcs8' }).toString());
  }

  /** The key for signing with WebCrypto. Throws InvalidCertificateError unless it is P-256. */
  async toSigningKey(): Promise<webcrypto.CryptoKey> {
    const der = createPrivateKey(this.#pem).export({ format: 'der', type: 'pkcs8' });
    try {
      return await webcrypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, false, ['sign']);
    } catch {
      throw new InvalidCertificateError('The key of the CA is not an ECDSA key on P-256.');
    }
  }

  /** The key in PEM, PKCS #8: for a file that only its owner reads, or `tls.createServer`. */
  exportPem(): string {
    return this.#pem;
  }

  toString(): string {
    return '[certificate private key]';
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}
