import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { certificateFingerprint } from '@nexodus/certificates';
import { spawnStandalone } from '@nexodus/standalone/testing';

/** A standalone service that people can log in at: `npm start`, on free ports. */
export interface LoginService extends AsyncDisposable {
  /** Of the public API. */
  readonly url: string;
  /** Origin of the login pages. */
  readonly pagesUrl: string;
  readonly caPem: string;
  /** Fingerprint of the CA, as the service prints it. */
  readonly caPin: string;
  /** The person whom the service knows. */
  readonly email: string;
  readonly password: string;
  /** What it printed and complained of. */
  log(): string;
}

const addresses = {
  NEXODUS_API_LISTEN: '127.0.0.1:0',
  NEXODUS_HTTPS_LISTEN: '127.0.0.1:0',
  NEXODUS_RELAY_LISTEN: '127.0.0.1:0',
  NEXODUS_STUN_LISTEN: '["127.0.0.1:0"]',
  NEXODUS_METRICS_LISTEN: '127.0.0.1:0',
};

/** Starts a service with data of its own; what it prints is all that the tests know of it. */
export async function startLoginService(): Promise<LoginService> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-login-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o700);
  const dataDir = join(folder, 'data');
  const service = spawnStandalone({ ...addresses, NEXODUS_DATA_DIR: dataDir });
  stack.defer(async () => void (await service.end('SIGTERM')));
  await service.ready();
  const said = (pattern: RegExp): string => {
    const found = pattern.exec(service.output())?.[1];
    if (found === undefined) throw new Error(`${pattern} is not in: ${service.output()}`);
    return found;
  };
  const caPem = await readFile(join(dataDir, 'ca.pem'), 'utf8');
  const caPin = said(/--ca-sha256 (\S+)/);
  if (certificateFingerprint(caPem) !== caPin) throw new Error(`${caPin} is not of ${dataDir}`);
  const facts = {
    url: said(/^ +Service +(\S+)$/m),
    pagesUrl: new URL(said(/^ +Console +(\S+)$/m)).origin,
    caPem,
    caPin,
    email: said(/^ +Demo user +(\S+)$/m),
    password: (await readFile(said(/^ +Password +in (\S+)$/m), 'utf8')).trim(),
    log: () => service.output() + service.errors(),
  };
  const owned = stack.move();
  return { ...facts, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
