export { internalServices, makeCertificates } from './make-certificates.ts';
export type { CertificatesOptions } from './make-certificates.ts';
export { databaseRoles, prepareDatabase } from './prepare-database.ts';
export type { DatabaseOptions } from './prepare-database.ts';
export { prepareInstallation } from './prepare.ts';
export type { InstallationOptions } from './prepare.ts';
