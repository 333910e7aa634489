export {
  InvalidSigningKeyError,
  ed25519PublicKeysEqual,
  ed25519Thumbprint,
  parseDevicePublicKey,
  parseEd25519PublicKey,
  verifyEd25519,
} from './ed25519-public-key.ts';
export type {
  CallerPurpose,
  DevicePublicKey,
  Ed25519PublicKey,
  Ed25519Purpose,
} from './ed25519-public-key.ts';
export { Ed25519PrivateKey } from './ed25519-private-key.ts';
export type { CallerPrivateKey, DevicePrivateKey } from './ed25519-private-key.ts';
export type { EnrolmentCredential } from './enrolment-transcript.ts';
export { proveEnrolment, verifyEnrolment } from './enrolment-proof.ts';
export type {
  EnrolmentCheck,
  EnrolmentClaim,
  EnrolmentProof,
  EnrolmentRefusal,
  EnrolmentVerdict,
} from './enrolment-proof.ts';
export {
  EnrolmentCookieError,
  createEnrolmentExchange,
  openCookie,
  sealCookie,
} from './enrolment-cookie.ts';
export type { CookieRefusal, EnrolmentCookie } from './enrolment-cookie.ts';
export { TokenError } from './token-error.ts';
export type { TokenRefusal } from './token-error.ts';
export {
  createClientAssertion,
  readAssertionSubject,
  verifyClientAssertion,
} from './client-assertion.ts';
export type { ClientAssertionOptions, VerifiedAssertion } from './client-assertion.ts';
export {
  ACCESS_TOKEN_LIFETIME_SECONDS,
  createAccessToken,
  verifyAccessToken,
} from './access-token.ts';
export type { AccessToken, AccessTokenKind, AccessTokenOptions } from './access-token.ts';
export { createProofOfPossession, verifyProofOfPossession } from './proof-of-possession.ts';
export type { ProofDemands, ProofOptions, VerifiedProof } from './proof-of-possession.ts';
export { ROOT_SECRET_BYTES, deriveServiceKeys } from './service-keys.ts';
export type { ServiceKeys } from './service-keys.ts';
export type { SealingKey } from './sealing.ts';
export { signBinding, verifyBinding } from './peer-binding.ts';
export type {
  BindingRefusal,
  BindingVerdict,
  PeerBinding,
  PeerBindingFields,
} from './peer-binding.ts';
export { acceptBinding } from './binding-pin.ts';
export type { BindingOffer, BindingPin, PinRefusal, PinVerdict } from './binding-pin.ts';
export {
  RegistrationKeyError,
  generateRegistrationKey,
  parseRegistrationKey,
  registrationKeyHashesEqual,
} from './registration-key.ts';
export type { RegistrationKey, RegistrationKeyRefusal } from './registration-key.ts';
export { SealedStateError, openState, sealState } from './sealed-state.ts';
