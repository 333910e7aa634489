/** The answer of the service, or the request, is lost on the way; repeated, the rotation ends with one key. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ServiceAccountServiceDefinition,
  type ServiceAccountServiceImplementation,
  TokenServiceDefinition,
  type TokenServiceImplementation,
  UserServiceDefinition,
  type UserServiceImplementation,
} from '@nexodus/contracts/api';
import {
  Ed25519PrivateKey,
  parseEd25519PublicKey,
  verifyClientAssertion,
} from '@nexodus/device-identity';
import { RpcError, Status } from '@nexodus/rpc';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  bindScript,
  startTlsService,
  type TlsService,
} from '../service-access/testing/tls-service.ts';
import { withApi } from './api-session.ts';
import { readCredentialsFile, writeCredentialsFile } from './credentials-file.ts';
import { rotateAccountKey } from './rotate-account-key.ts';

let stack: AsyncDisposableStack;
let path: string;
let wire: Wire;
/** Public key that the service holds of the account. */
let held: Buffer;
/** What comes of the request for a rotation. */
let onRotate: (publicKey: Buffer) => void;
let onWhoAmI: () => void;

/** Listens where the service is reached, and can hang up on everybody. */
interface Wire {
  readonly port: number;
  cut(): void;
}

async function openWire(target: () => number): Promise<Wire> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket =>
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  const server = createServer((near) => {
    const far = connect(target(), '127.0.0.1');
    for (const socket of [near, far]) sockets.add(keep(socket));
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  stack.defer(() => {
    cut();
    server.close();
  });
  const address = server.address();
  return { port: typeof address === 'object' ? (address?.port ?? 0) : 0, cut };
}

function refused(): RpcError {
  return new RpcError(Status.UNAUTHENTICATED, 'not the key of the account');
}

/** A service with one account, whose tokens end with the key. */
async function startAccountService(): Promise<TlsService> {
  const service: TlsService = await startTlsService({
    publicPort: () => wire.port,
    // The token is the key itself: this service believes whoever the assertion proved to be.
    authenticate: (authorization) => {
      if (authorization === undefined) return null;
      if (authorization !== `DPoP ${held.toString('base64')}`) throw refused();
      return 'a';
    },
    services: [
      bindScript<TokenServiceImplementation>(TokenServiceDefinition, {
        exchangeAssertion: async ({ assertion }) => {
          const publicKey = parseEd25519PublicKey(held, 'service-account');
          const demands = { audience: service.url, publicKey, now: new Date() };
          await verifyClientAssertion(assertion, demands).catch(() => {
            throw refused();
          });
          const expireTime = new Date(Date.now() + 3_600_000);
          return { accessToken: held.toString('base64'), expireTime };
        },
      }),
      bindScript<ServiceAccountServiceImplementation>(ServiceAccountServiceDefinition, {
        rotateServiceAccountKey: async ({ publicKey }) => {
          onRotate(Buffer.from(publicKey));
          return {};
        },
      }),
      bindScript<UserServiceImplementation>(UserServiceDefinition, {
        whoAmI: async () => {
          onWhoAmI();
          return { principal: { $case: 'serviceAccountId', value: 'a' } };
        },
      }),
    ],
  });
  return service;
}

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'nexctl-rotate-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  let port = 0;
  wire = await openWire(() => port);
  const service = stack.use(await startAccountService());
  ({ port } = service);
  const key = Ed25519PrivateKey.generate('service-account');
  held = Buffer.from(key.publicKey);
  onRotate = (publicKey) => {
    held = publicKey;
  };
  onWhoAmI = () => {};
  path = join(folder, 'account.json');
  const { url: serviceUrl, caPem } = service;
  await writeCredentialsFile(path, { serviceUrl, caPem, serviceAccountId: 'a', key });
});
afterEach(() => stack.disposeAsync());

async function keyIn(file: string): Promise<Buffer> {
  return Buffer.from((await readCredentialsFile(file)).key.publicKey);
}

function rotate(): Promise<void> {
  return rotateAccountKey(path, {});
}

const unknown = { exitCode: 7, message: expect.stringMatching(/not known whether/) };

async function expectOneKey(before: Buffer): Promise<void> {
  expect(existsSync(`${path}.new`)).toBe(false);
  expect(await keyIn(path)).toEqual(held);
  expect(held).not.toEqual(before);
  await withApi({ credentials: path }, ({ users }) => users.whoAmI({}));
}

test('a rotation ends with one new key, in the file and at the service', async () => {
  const before = held;
  await rotate();
  await expectOneKey(before);
});

test('where the answer was lost, repeating takes the key that the service has, without another', async () => {
  const before = held;
  const asked = vi.fn<(key: Buffer) => void>((publicKey) => {
    held = publicKey;
    wire.cut();
  });
  onRotate = asked;
  await expect(rotate()).rejects.toMatchObject(unknown);
  expect(await keyIn(path)).toEqual(before);
  expect(await keyIn(`${path}.new`)).toEqual(held);
  const taken = held;
  await rotate();
  expect(held).toEqual(taken);
  expect(asked).toHaveBeenCalledOnce();
  await expectOneKey(before);
});

test('where the request was lost, repeating offers the same key', async () => {
  const before = held;
  onRotate = () => wire.cut();
  await expect(rotate()).rejects.toMatchObject(unknown);
  expect(held).toEqual(before);
  const offered = await keyIn(`${path}.new`);
  onRotate = (publicKey) => {
    held = publicKey;
  };
  await rotate();
  expect(held).toEqual(offered);
  await expectOneKey(before);
});

test('where the request arrives late, in the middle of the repetition, no key is lost', async () => {
  const before = held;
  onRotate = () => wire.cut();
  await expect(rotate()).rejects.toMatchObject(unknown);
  const late = await keyIn(`${path}.new`);
  // The repetition has seen that the new key is refused, and calls with the old one.
  onWhoAmI = () => {
    held = late;
  };
  await expect(rotate()).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
  expect([await keyIn(path), await keyIn(`${path}.new`)]).toEqual([before, late]);
  await rotate();
  expect(held).toEqual(late);
  await expectOneKey(before);
});

test('what the service refuses for certain leaves the old key, and nothing beside it', async () => {
  const before = held;
  onRotate = () => {
    throw new RpcError(Status.PERMISSION_DENIED, 'not yours');
  };
  await expect(rotate()).rejects.toMatchObject({ code: Status.PERMISSION_DENIED });
  expect(existsSync(`${path}.new`)).toBe(false);
  expect(await keyIn(path)).toEqual(before);
});

test('refused at its repetition, the key that the service may have learnt of stays', async () => {
  onRotate = () => wire.cut();
  await expect(rotate()).rejects.toMatchObject(unknown);
  const offered = await keyIn(`${path}.new`);
  onRotate = () => {
    throw new RpcError(Status.PERMISSION_DENIED, 'not yours');
  };
  await expect(rotate()).rejects.toMatchObject({ code: Status.PERMISSION_DENIED });
  expect(await keyIn(`${path}.new`)).toEqual(offered);
});
