/**
 * The state directory of one device.
 *
 * `keys.json` holds the private keys and is written once. Everything else is sealed under a key derived from the device
 * key, written atomically, and kept in one generation besides, which is taken where the present one is damaged. Keys and
 * pins are never replaced silently: where they are damaged, only a person can decide. A device that joined has pins, if
 * only none yet: a file that is missing is no first use, at which any keys would pass for a peer's.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openState, sealState } from '@nexodus/device-identity';
import {
  type Enrolment,
  enrolmentCodec,
  type KeptView,
  type Pins,
  pinsCodec,
  type StateCodec,
  viewCodec,
} from './agent-state.ts';
import { previousOf, readFileIfThere, temporaryOf, writeFileAtomically } from './atomic-file.ts';
import {
  decodeDeviceKeys,
  type DeviceKeys,
  encodeDeviceKeys,
  generateDeviceKeys,
} from './device-keys.ts';
import { prepareStateDirectory } from './state-directory.ts';
import { StateError } from './state-error.ts';
import { lockState, type StateLock } from './state-lock.ts';
import { asStateError } from './system-fault.ts';

const KEYS = 'keys.json';
const ENROLMENT = 'enrolment.sealed';
const PINS = 'pins.sealed';
const VIEW = 'view.sealed';
const LOCK = 'nexd.lock';

/** What was kept from the run before. */
export interface KeptState {
  readonly keys: DeviceKeys;
  readonly enrolment: Enrolment | undefined;
  readonly pins: Pins;
  readonly kept: KeptView;
  /** What was damaged and could be made good, one line each. */
  readonly notices: readonly string[];
}

/** An open state directory. Saves of one kind come one after the other. Everything thrown is a StateError. */
export interface StateStore {
  readonly directory: string;
  /** Reads everything; undefined where no keys were ever made here. */
  load(): Promise<KeptState | undefined>;
  /** Makes keys and keeps them before they are used. */
  createKeys(): Promise<DeviceKeys>;
  /** The first one is saved after the first pins: without pins a device that joined is refused by `load`. */
  saveEnrolment(keys: DeviceKeys, enrolment: Enrolment): Promise<void>;
  savePins(keys: DeviceKeys, pins: Pins): Promise<void>;
  saveView(keys: DeviceKeys, kept: KeptView): Promise<void>;
  /** Deletes keys and state. The directory itself and its lock stay. */
  forget(): Promise<void>;
  /** Gives up the lock. Idempotent. */
  close(): void;
}

/** Opens a state directory, making it where it is not there, and locks it. @throws {StateError} */
export async function openStateStore(directory: string): Promise<StateStore> {
  await prepareStateDirectory(directory);
  const lock = await lockState(join(directory, LOCK));
  return createStore(directory, lock);
}

function createStore(directory: string, lock: StateLock): StateStore {
  const at = (name: string): string => join(directory, name);
  const save = async <T>(
    name: string,
    codec: StateCodec<T>,
    { keys, value }: { keys: DeviceKeys; value: T },
  ): Promise<void> => writeFileAtomically(at(name), sealState(codec.encode(value), keys.device));
  return {
    directory,
    load: () => load(directory),
    createKeys: async () => {
      const keys = generateDeviceKeys();
      await writeFileAtomically(at(KEYS), encodeDeviceKeys(keys));
      return keys;
    },
    saveEnrolment: (keys, value) => save(ENROLMENT, enrolmentCodec, { keys, value }),
    savePins: (keys, value) => save(PINS, pinsCodec, { keys, value }),
    saveView: (keys, value) => save(VIEW, viewCodec, { keys, value }),
    forget: () => forget(directory),
    close: () => lock.release(),
  };
}

async function load(directory: string): Promise<KeptState | undefined> {
  const at = (name: string): string => join(directory, name);
  const keys = await loadKeys(directory);
  if (keys === undefined) return undefined;
  const notices: string[] = [];
  const note = (line: string): unknown => notices.push(line);
  const enrolment = await unseal(at(ENROLMENT), enrolmentCodec, { keys, note });
  const pins = await unseal(at(PINS), pinsCodec, {
    keys,
    note,
    mayReplace: ({ size }) => size > 0,
  });
  if (pins === undefined && enrolment !== undefined) {
    throw damaged(
      at(PINS),
      'is missing, and without it other keys would pass for those of known peers',
    );
  }
  const kept = await unseal(at(VIEW), viewCodec, { keys, note }).catch((error: unknown) => {
    if (!(error instanceof StateError) || error.fault !== 'damaged') throw error;
    note(`${at(VIEW)} is damaged; the service will send the network map anew`);
    return undefined;
  });
  return { keys, enrolment, pins: pins ?? new Map(), kept: kept ?? {}, notices };
}

async function loadKeys(directory: string): Promise<DeviceKeys | undefined> {
  const path = join(directory, KEYS);
  const bytes = await readFileIfThere(path);
  if (bytes !== undefined) {
    const keys = decodeDeviceKeys(bytes);
    if (keys !== undefined) return keys;
    throw damaged(path, 'does not hold the keys of a device');
  }
  const names = await readdir(directory).catch((error: unknown) => {
    throw asStateError(error, directory);
  });
  if (names.some((name) => name.endsWith('.sealed'))) {
    throw damaged(path, 'is missing, but the state sealed with it is there');
  }
  return undefined;
}

interface Unsealing<T> {
  readonly keys: DeviceKeys;
  readonly note: (line: string) => unknown;
  /** Whether an older value may stand in for the present one; default: any. */
  readonly mayReplace?: (older: T) => boolean;
}

async function unseal<T>(
  path: string,
  codec: StateCodec<T>,
  { keys, note, mayReplace = () => true }: Unsealing<T>,
): Promise<T | undefined> {
  const present = await readFileIfThere(path);
  const value = present === undefined ? undefined : tryOpen(present, codec, keys);
  if (value !== undefined) return value;
  const before = await readFileIfThere(previousOf(path));
  if (present === undefined && before === undefined) return undefined;
  const older = before === undefined ? undefined : tryOpen(before, codec, keys);
  if (older === undefined || !mayReplace(older)) {
    const what = present === undefined ? 'is missing' : 'is damaged or was sealed with other keys';
    throw damaged(path, what);
  }
  note(`${path} is ${present === undefined ? 'missing' : 'damaged'}; the one before it was taken`);
  return older;
}

function tryOpen<T>(sealed: Uint8Array, codec: StateCodec<T>, keys: DeviceKeys): T | undefined {
  try {
    return codec.decode(openState(sealed, keys.device));
  } catch {
    return undefined;
  }
}

function damaged(path: string, what: string): StateError {
  return new StateError(
    'damaged',
    `${path} ${what}`,
    'Restore the state directory from a backup, or give this identity up with `nexd down --forget` and join anew',
  );
}

/** The keys go last: as long as they are there, nothing of the rest is a riddle. */
async function forget(directory: string): Promise<void> {
  const kept = [ENROLMENT, PINS, VIEW, KEYS].flatMap((name) => [name, previousOf(name)]);
  // A write that a crash cut short leaves its temporary file, which may hold the keys.
  for (const name of kept.flatMap((file) => [temporaryOf(file), file])) {
    const path = join(directory, name);
    await rm(path, { force: true }).catch((error: unknown) => {
      throw asStateError(error, path);
    });
  }
}
