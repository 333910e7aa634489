export { DATAGRAM_MAGIC } from './datagram-magic.ts';
export type { ObservedAddress } from './observed-address.ts';
export {
  REGISTRATION_BYTES,
  encodeRegistration,
  isRegistration,
  openRegistration,
  registrationSessionId,
} from './registration.ts';
export type { Registration, SessionSide } from './registration.ts';
export {
  REGISTRATION_ANSWER_BYTES,
  encodeRegistrationAnswer,
  isRegistrationAnswer,
  openRegistrationAnswer,
} from './registration-answer.ts';
export type { RegistrationAnswer } from './registration-answer.ts';
export { RelayRegistrationKey } from './relay-registration-key.ts';
