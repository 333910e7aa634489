import type { DatabaseConnection } from '@nexodus/database';
import type { VirtualHost } from '@nexodus/netsim';

/** The control plane of a lab, in whichever form it runs: what a lab needs of it. */
export interface LabService {
  /** Arguments of `nexd` as the service tells people to join their first machine, `up` first. */
  readonly joinArguments: readonly string[];
  /** Credentials file of a service account that administers the lab's organization, for `nexctl --credentials`. */
  readonly credentialsFile: string;
  /** The database of all services, as a superuser: for looking only, while the service runs. */
  readonly database: DatabaseConnection;
  /** What it said last, for messages. */
  log(): readonly string[];
  /** Stops it as an operator would; data and addresses stay. */
  stop(): Promise<void>;
  /** Starts it again; resolves when it serves. */
  start(): Promise<void>;
  /** Ends it for good. */
  close(): Promise<void>;
}

/** Where a service runs. */
export interface LabServicePlace {
  /** The machine of the service on the lab's network. */
  readonly host: VirtualHost;
  /** Folder for its data, not there yet. */
  readonly directory: string;
}

/** Starts a service, which serves when the promise settles. */
export type LabServiceStarter = (place: LabServicePlace) => Promise<LabService>;
