/** The text, a zero byte and what follows: no statement of one kind can be taken for one of another. */
export function signedBytes(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat([Buffer.from(`${label}\0`, 'utf8'), ...parts]));
}

/** What a grant's signature covers besides its payload (relay.v1 SignedGrant). */
export const GRANT_LABEL = 'nexodus-relay-grant-v1';

/** What an attachment's signature covers besides its fields (relay.session.v1 Attachment). */
export const ATTACHMENT_LABEL = 'nexodus-relay-attach-v1';
