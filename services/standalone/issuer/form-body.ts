import type { IncomingMessage } from 'node:http';

/** Longest form, in bytes. */
const maxFormBytes = 8_192;

/** A request that is not the form that was expected. */
export class FormError extends Error {
  override readonly name = 'FormError';
}

/**
 * Reads a form (application/x-www-form-urlencoded).
 *
 * @throws {FormError} for another media type, and for a form of more than 8 KiB
 */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/x-www-form-urlencoded') throw new FormError('not a form');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > maxFormBytes) throw new FormError('too large');
    chunks.push(bytes);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}

/**
 * Whether a browser says that the form was sent from one of our own pages. Browsers send Origin with every POST, and
 * Sec-Fetch-Site where they know it.
 */
export function isFromOwnPage(request: IncomingMessage, origin: string): boolean {
  const { origin: sender } = request.headers;
  const site = request.headers['sec-fetch-site'];
  return (
    (sender === undefined || sender === origin) && (site === undefined || site === 'same-origin')
  );
}
