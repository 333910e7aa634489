/**
 * The enrolment that a device works with: the kept one while it holds, else a new one of the same keys.
 *
 * The machine is tried with an empty tunnel before anything is asked of the service, so that a single-use registration
 * key is not spent on a machine that cannot hold a tunnel.
 */
import type { GetServiceInfoResponse } from '@nexodus/contracts/api';
import { isRpcError, Status } from '@nexodus/rpc';
import { planDevice } from '../dataplane/index.ts';
import { createAccessTokens } from '../service-access/access-tokens.ts';
import { checkService, type ServiceConnection } from '../service-access/service-connection.ts';
import type { Enrolment } from '../state/agent-state.ts';
import type { KeptState, StateStore } from '../state/state-store.ts';
import { joinService } from './join-service.ts';
import type { MachineParts } from './machine-parts.ts';
import type { UpEnvironment, UpOptions } from './up-options.ts';
import { withdrawDevice } from './withdraw-device.ts';

/** A device whose enrolment is looked at, and what that needs. */
export interface EnrolmentTask {
  readonly options: UpOptions;
  readonly environment: Pick<UpEnvironment, 'clock' | 'logger' | 'say'>;
  readonly parts: Pick<MachineParts, 'createDataplane'>;
  readonly store: Pick<StateStore, 'saveEnrolment' | 'savePins' | 'saveView'>;
  readonly kept: KeptState;
  readonly connection: ServiceConnection;
  /** Whether the interface was there before this run. */
  readonly hadInterface: boolean;
  /** Aborted when the device shall not join any more. */
  readonly signal: AbortSignal;
  /** Told when a person has to act, and when that is over. */
  readonly onLogin: (isAwaited: boolean) => void;
}

/** An enrolment that holds. */
export interface EnsuredEnrolment {
  readonly enrolment: Enrolment;
  /** Serial of the binding that the service holds of a device that joined just now; 0 for none. */
  readonly publishedSerial: bigint;
}

/** Joins where the device has not, or may not go on as it is. @throws what kept it from joining */
export async function ensureEnrolled(task: EnrolmentTask): Promise<EnsuredEnrolment> {
  const { environment, store, kept, connection, signal } = task;
  const before = kept.enrolment;
  if (before !== undefined && !(await isExpired(task, before))) {
    return { enrolment: await withPresentCa(task, before), publishedSerial: 0n };
  }
  const info = await checkService(connection, () => environment.clock.now());
  signal.throwIfAborted();
  await tryMachine(task);
  signal.throwIfAborted();
  const joined = await join(task, info);
  const enrolment = { ...joined.enrolment, binding: before?.binding };
  if (before === undefined) await store.savePins(kept.keys, kept.pins);
  await store.saveEnrolment(kept.keys, enrolment);
  environment.say(
    `joined ${enrolment.serviceUrl} as ${enrolment.hostname} in VPC ${enrolment.vpcName}: ` +
      `${enrolment.ipv4Address}, ${enrolment.ipv6Address}`,
  );
  return { enrolment, publishedSerial: joined.bindingSerial };
}

async function withPresentCa(
  { connection, store, kept }: EnrolmentTask,
  enrolment: Enrolment,
): Promise<Enrolment> {
  if (enrolment.caPem === connection.caPem) return enrolment;
  const changed = { ...enrolment, caPem: connection.caPem };
  await store.saveEnrolment(kept.keys, changed);
  return changed;
}

/**
 * Whether the device must join again to go on. The service is asked only where there is reason to: a device restarts
 * without it, and a registration key that stays in a unit file is not used twice.
 */
async function isExpired(
  task: EnrolmentTask,
  { deviceId, expireAtMs }: Enrolment,
): Promise<boolean> {
  const { options, environment, kept, connection } = task;
  const { clock } = environment;
  if (options.registrationKey === undefined && clock.now() < expireAtMs) return false;
  const key = kept.keys.device;
  const tokens = createAccessTokens({ subject: deviceId, key, connection, clock });
  try {
    await tokens.authorize('');
    return false;
  } catch (error) {
    const isTooOld = isRpcError(error, Status.UNAUTHENTICATED, 'DEVICE_EXPIRED');
    const isDeleted = isRpcError(error, Status.UNAUTHENTICATED, 'DEVICE_DELETED');
    if (isTooOld || isDeleted) await withdraw(task);
    if (isTooOld) return true;
    if (isDeleted) throw error;
    environment.logger.warn({ error }, 'the service could not be asked');
    return false;
  }
}

/** Whatever comes of joining again: as long as the service refuses the device, it has no peers. */
async function withdraw(task: EnrolmentTask): Promise<void> {
  const { environment, options, parts, store, hadInterface: hasTunnel } = task;
  const { keys } = task.kept;
  const dataplane = parts.createDataplane(keys.wireGuard);
  const { listenPort } = options;
  await withdrawDevice({ keys, store, dataplane, hasTunnel, listenPort }).catch((error: unknown) =>
    environment.logger.error({ error }, 'the peers were not all withdrawn'),
  );
}

/** Brings up the tunnel without anything in it: what is wrong with the machine shows before a key is spent. */
async function tryMachine({ options, parts, kept, hadInterface }: EnrolmentTask): Promise<void> {
  // Of a device that joined before, the interface may carry live traffic: it is left as it is.
  if (hadInterface && kept.enrolment !== undefined) return;
  const dataplane = parts.createDataplane(kept.keys.wireGuard);
  const { listenPort } = options;
  await dataplane.apply(planDevice({ addresses: [], peers: [], listenPort }));
}

async function join(task: EnrolmentTask, info: GetServiceInfoResponse) {
  const { options, environment, kept, connection, signal, onLogin } = task;
  const { registrationKey, hostname, vpc, organization, issuer } = options;
  if (registrationKey === undefined) onLogin(true);
  try {
    return await joinService({
      connection,
      info,
      keys: kept.keys,
      registrationKey,
      hostname,
      vpc,
      organization,
      issuer,
      signal,
      prompt: ({ verificationUrl, userCode, completeUrl }) => {
        environment.say(`to join, open ${verificationUrl} and enter the code ${userCode}`);
        if (completeUrl !== undefined) environment.say(`or open ${completeUrl}`);
      },
    });
  } finally {
    if (registrationKey === undefined) onLogin(false);
  }
}
