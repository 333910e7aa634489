import { readFileSync } from 'node:fs';

/**
 * All contracts as one encoded google.protobuf.FileDescriptorSet, imports and comments included: for server reflection
 * and the HTTP gateway.
 */
export function readDescriptorSet(): Uint8Array {
  return readFileSync(new URL('./gen/descriptors.binpb', import.meta.url));
}
