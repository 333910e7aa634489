import type { IpamServiceDefinition } from '@nexodus/contracts/ipam';
import type { VirtualHost } from '@nexodus/netsim';
import type { RpcClient } from '@nexodus/rpc';

/** The control plane of a lab, in whichever form it runs: what a lab needs of it. */
export interface LabService {
  /** Arguments of `nexd` as the service tells people to join their first machine, `up` first. */
  readonly joinArguments: readonly string[];
  /** Credentials file of a service account that administers the lab's organization, for `nexctl --credentials`. */
  readonly credentialsFile: string;
  /** Stops it as an operator would; data and addresses stay. */
  stop(): Promise<void>;
  /** Starts it again; resolves when it serves. */
  start(): Promise<void>;
  /** Calls ipam as the apiserver does, to see what is held: a client per use. */
  askIpam<T>(ask: (ipam: RpcClient<IpamServiceDefinition>) => Promise<T>): Promise<T>;
}

/** Where a service runs. */
export interface LabServicePlace {
  /** The machine of the service on the lab's network. */
  readonly host: VirtualHost;
  /** Empty folder for its data. */
  readonly directory: string;
}

/** Starts a service, which serves when the promise settles; `stop` ends it. */
export type LabServiceStarter = (place: LabServicePlace) => Promise<LabService>;
