import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

const algorithm = 'aes-256-gcm';
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

/** Keeps what the provider stores from whoever reads the database: tokens are found by hash and sealed at rest. */
export interface RecordSeal {
  /** A keyed hash by which a value is found again. */
  hash(kind: string, value: string): Buffer;
  /** Seals a text; `place` says where it belongs. */
  seal(text: string, place: string): Buffer;
  /**
   * Opens what was sealed for the same place.
   *
   * @throws when it was altered, moved, or sealed under another root secret
   */
  open(sealed: Uint8Array, place: string): string;
}

/** Derives the keys (HKDF-SHA256, RFC 5869) from the root secret of the service. */
export function createRecordSeal(rootSecret: Uint8Array): RecordSeal {
  const derive = (info: string): Buffer =>
    Buffer.from(hkdfSync('sha256', rootSecret, new Uint8Array(), info, keyBytes));
  const hashKey = derive('nexodus-issuer-names-v1');
  const sealKey = derive('nexodus-issuer-records-v1');
  return {
    hash: (kind, value) => createHmac('sha256', hashKey).update(`${kind}\0${value}`).digest(),
    seal: (text, place) => {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(algorithm, sealKey, nonce, { authTagLength: tagBytes });
      cipher.setAAD(Buffer.from(place));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, body, cipher.getAuthTag()]);
    },
    open: (sealed, place) => {
      const bytes = Buffer.from(sealed);
      const decipher = createDecipheriv(algorithm, sealKey, bytes.subarray(0, nonceBytes), {
        authTagLength: tagBytes,
      });
      decipher.setAAD(Buffer.from(place));
      decipher.setAuthTag(bytes.subarray(-tagBytes));
      const body = bytes.subarray(nonceBytes, -tagBytes);
      return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8');
    },
  };
}
