import type { Clock } from '@nexodus/clock';
import type { RegistrationKey } from '@nexodus/device-identity';
import type { Logger } from '@nexodus/telemetry';
import type { RelayDemand } from '../relay/index.ts';
import type { ProxySettings } from '../service-access/proxy-settings.ts';
import type { TrustWish } from '../service-access/service-trust.ts';

/** What `nexd up` is told. */
export interface UpOptions {
  /** Absent: the service that the device is enrolled with. */
  readonly serviceUrl?: string;
  readonly trust: Pick<TrustWish, 'caFile' | 'caSha256'>;
  /** What goes through an HTTP proxy. */
  readonly proxies: ProxySettings;
  /** Absent: a person logs in. */
  readonly registrationKey?: RegistrationKey;
  readonly hostname?: string;
  readonly organization?: string;
  readonly vpc?: string;
  readonly issuer?: string;
  readonly interfaceName: string;
  readonly stateDirectory: string;
  /** UDP port; 0: any. */
  readonly listenPort: number;
  readonly socketPath: string;
  /** All peers are reached through relays only, by any lane or by this one. Default: relays are not forced. */
  readonly relayOnly?: RelayDemand;
  /** Default: what the machine has. */
  readonly technology?: 'kernel' | 'wireguard-go';
}

/** What `nexd up` lives in. */
export interface UpEnvironment {
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Prints one line for people. */
  readonly say: (line: string) => void;
  /** Aborted when the process shall end: the tunnel stays. */
  readonly signal: AbortSignal;
}
