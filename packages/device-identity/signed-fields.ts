const MAX_FIELD_BYTES = 0xffff;

/**
 * The unambiguous bytes of a list of fields: each as a 16-bit big-endian length and its bytes.
 * Two different lists never encode alike, so a signature over one cannot serve for another.
 * Strings are UTF-8, bigints 64-bit big endian. Throws RangeError for a field over 65,535 bytes
 * for a bigint outside
 * 0 .. 2^64 - 1, and for a string with lone surrogates, which UTF-8 cannot tell apart.
 */
export function encodeSignedFields(fields: readonly (Uint8Array | string | bigint)[]): Uint8Array {
  const parts = fields.flatMap((field) => {
    const bytes = encodeField(field);
    if (bytes.length > MAX_FIELD_BYTES) throw new RangeError('A signed field is too long.');
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    return [length, bytes];
  });
  return new Uint8Array(Buffer.concat(parts));
}

function encodeField(field: Uint8Array | string | bigint): Uint8Array {
  if (typeof field === 'string') {
    if (!field.isWellFormed()) throw new RangeError('A signed text is not well-formed Unicode.');
    return Buffer.from(field, 'utf8');
  }
  if (typeof field !== 'bigint') return field;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(field);
  return bytes;
}
