import { hostname as machineHostname, platform } from 'node:os';
import type { EnrollResponse } from '@nexodus/contracts/agent';
import { type GetServiceInfoResponse, UserServiceDefinition } from '@nexodus/contracts/api';
import type { RegistrationKey } from '@nexodus/device-identity';
import { createRpcClient } from '@nexodus/rpc';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { enrolDevice, type JoinCredential } from '../enrol/enrol-device.ts';
import type { LoginPrompt } from '../service-access/device-login.ts';
import { explained, type ServiceConnection } from '../service-access/service-connection.ts';
import type { Enrolment } from '../state/agent-state.ts';
import type { DeviceKeys } from '../state/device-keys.ts';

/** How a device joins. */
export interface JoinOptions {
  readonly connection: ServiceConnection;
  /** What `checkService` said of it. */
  readonly info: GetServiceInfoResponse;
  readonly keys: DeviceKeys;
  /** Absent: a person logs in. */
  readonly registrationKey: RegistrationKey | undefined;
  readonly hostname: string | undefined;
  readonly vpc: string | undefined;
  readonly organization: string | undefined;
  readonly issuer: string | undefined;
  /** Shows a person what to do. */
  readonly prompt: (prompt: LoginPrompt) => void;
  readonly signal: AbortSignal;
}

/** A device that joined. */
export interface JoinedService {
  readonly enrolment: Enrolment;
  /** Serial of the binding that the service holds of this device already; 0 for none. */
  readonly bindingSerial: bigint;
}

/**
 * Joins the service by registration key or login. The same keys joined again give the same device. The user's token is forgotten afterwards.
 *
 * @throws {CommandError} {RpcError}
 */
export async function joinService(options: JoinOptions): Promise<JoinedService> {
  const { connection, registrationKey, organization } = options;
  if (registrationKey !== undefined && organization !== undefined) {
    throw new CommandError(
      ExitCode.usage,
      'A registration key names its organization already',
      'Leave out --organization',
    );
  }
  const credential: JoinCredential =
    registrationKey === undefined
      ? await logIn(options)
      : { kind: 'registration-key', key: registrationKey };
  const response = await explained(connection, () =>
    enrolDevice(connection, {
      keys: options.keys,
      credential,
      hostname: options.hostname ?? machineHostname().split('.')[0] ?? '',
      os: platform(),
      vpc: options.vpc ?? '',
      organization: organization ?? '',
      signal: options.signal,
    }),
  );
  const { bindingSerial } = response;
  return { enrolment: enrolmentOf(connection, response), bindingSerial };
}

async function logIn(options: JoinOptions): Promise<JoinCredential> {
  const { connection, info, prompt, signal } = options;
  // Loaded when a person logs in: its libraries take longer to load than the rest of the program.
  const { chooseIssuer, logInByDevice } = await import('../service-access/device-login.ts');
  const issuer = chooseIssuer(info.issuers, options.issuer);
  const target = { issuer, caPem: connection.caPem, proxies: connection.proxies };
  const { idToken } = await logInByDevice(target, prompt, signal);
  const client = createRpcClient(UserServiceDefinition, connection.channel, {
    authorize: () => Promise.resolve({ authorization: `Bearer ${idToken}` }),
  });
  const { principal } = await explained(connection, () => client.whoAmI({}));
  if (principal?.$case !== 'user') {
    throw new CommandError(
      ExitCode.credentials,
      'The service does not take the login for that of a person',
      'Log in with the account of a person, or use a registration key',
    );
  }
  return { kind: 'user', userId: principal.value.id, idToken };
}

function enrolmentOf(connection: ServiceConnection, response: EnrollResponse): Enrolment {
  const { deviceId, organizationId, vpcId, vpcName, hostname, ipv4Address, ipv6Address } = response;
  return {
    serviceUrl: connection.url.origin,
    caPem: connection.caPem,
    deviceId,
    organizationId,
    vpcId,
    vpcName,
    hostname,
    ipv4Address,
    ipv6Address,
    expireAtMs: response.expireTime?.getTime() ?? Number.MAX_SAFE_INTEGER,
  };
}
