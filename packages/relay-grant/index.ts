export { grantKeyId, signGrant } from './sign-grant.ts';
export {
  type GrantDemands,
  type GrantRefusal,
  type GrantVerdict,
  verifyGrant,
} from './verify-grant.ts';
export { proveAttachment, verifyAttachment } from './attachment-proof.ts';
export type { AttachmentStatement } from './attachment-proof.ts';
