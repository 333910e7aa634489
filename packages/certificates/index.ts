export { InvalidCertificateError } from './invalid-certificate-error.ts';
export type { CertificateKey } from './certificate-key.ts';
export {
  certificateFingerprint,
  needsRenewal,
  parseCertificate,
  parseFingerprint,
} from './certificate-text.ts';
export {
  createCertificateAuthority,
  issueServerCertificate,
  issueServiceCertificate,
  parseIssuedCertificate,
} from './certificate-authority.ts';
export type {
  CertificateAuthority,
  CertificateAuthorityOptions,
  IssuedCertificate,
  ServerCertificateOptions,
  ServiceCertificateOptions,
} from './certificate-authority.ts';
export { peerServiceName } from './service-name.ts';
