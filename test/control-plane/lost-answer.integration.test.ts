/** The answer to a rotation is lost on the way: `nexctl`, run again, ends with the one key that the service has. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@nexodus/clock/testing';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { labEnvironment, repositoryProgram } from '../lab/lab-environment.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

const stack = new AsyncDisposableStack();
let plane: ControlPlane;
let wire: Wire;
let folder: string;
let credentials: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nexodus-lost-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const socket = join(folder, 'api.sock');
  wire = await openWire(socket);
  const audience = `https://127.0.0.1:${wire.port}`;
  plane = await startControlPlane({ address: `unix:${socket}`, audience });
  stack.defer(() => plane.stop());
  credentials = join(folder, 'account.json');
  const account = {
    service_url: audience,
    ca_pem: plane.caPem,
    service_account_id: plane.accountId,
    private_key: plane.accountKey.exportBase64(),
  };
  await writeFile(credentials, JSON.stringify(account), { mode: 0o600 });
});
afterAll(() => stack.disposeAsync());

/** Where the service is reached. */
interface Wire {
  readonly port: number;
  /** Answers are lost from now on. */
  swallowAnswers(): void;
  /** Hangs up on everybody; who calls again is answered. */
  cut(): void;
}

async function openWire(socketPath: string): Promise<Wire> {
  let isDeaf = false;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(socketPath);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    near.on('close', () => far.destroy()).pipe(far);
    far.on('close', () => near.destroy()).on('data', (chunk) => void (isDeaf || near.write(chunk)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    isDeaf = false;
  };
  stack.defer(() => {
    cut();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    swallowAnswers: () => {
      isDeaf = true;
    },
    cut,
  };
}

interface Outcome {
  exitCode: number;
  stderr: string;
}

function nexctl(...args: string[]): Promise<Outcome> {
  const all = ['--credentials', credentials, ...args];
  return new Promise((resolve) => {
    execFile(repositoryProgram('nexctl'), all, { env: labEnvironment() }, (error, _, stderr) => {
      const exitCode = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ exitCode, stderr });
    });
  });
}

/** Public key that the service holds of the account. */
async function heldKey(): Promise<string> {
  const row: unknown = await plane.database
    .knex('service_accounts')
    .where({ id: plane.accountId })
    .first('public_key');
  return (row as { public_key: Buffer }).public_key.toString('base64'); // the column asked for
}

async function keyInFile(): Promise<string> {
  const fields: unknown = JSON.parse(await readFile(credentials, 'utf8'));
  const text = (fields as { private_key: string }).private_key; // as written above and by nexctl
  return Buffer.from(Ed25519PrivateKey.fromBase64(text, 'service-account').publicKey).toString(
    'base64',
  );
}

/** Holds the account's row until the returned function is called, so that a change of it waits. */
async function holdAccount(): Promise<() => Promise<void>> {
  const held = Promise.withResolvers<void>();
  const freed = Promise.withResolvers<void>();
  const holding = plane.database.transaction(
    async ({ knex }) => {
      await knex('service_accounts').where({ id: plane.accountId }).forUpdate();
      held.resolve();
      await freed.promise;
    },
    { name: 'hold' },
  );
  await held.promise;
  return () => {
    freed.resolve();
    return holding;
  };
}

test('the new key is at the service, the answer is lost: repeated, there is one key and one file', async () => {
  const before = await heldKey();
  const free = await holdAccount();
  const rotation = nexctl('admin', 'bootstrap', 'rotate');
  const isWaiting = async (): Promise<boolean> => {
    const waiting: unknown[] = await plane.database.knex('pg_locks').where({ granted: false });
    return waiting.length > 0;
  };
  // The program starts first, which takes a small machine a while.
  await eventually(isWaiting, { timeoutMs: 60_000 });
  wire.swallowAnswers();
  await free();
  await eventually(async () => (await heldKey()) !== before);
  wire.cut();
  expect(await rotation).toMatchObject({
    exitCode: 7,
    stderr: expect.stringMatching(
      /not known whether the service took the new key.*run the command again/,
    ),
  });
  expect(await keyInFile()).toBe(before);
  const taken = await heldKey();

  expect(await nexctl('admin', 'bootstrap', 'rotate')).toEqual({ exitCode: 0, stderr: '' });
  expect([await keyInFile(), await heldKey()]).toEqual([taken, taken]);
  expect(await readdir(folder)).not.toContain('account.json.new');
  expect(await nexctl('whoami')).toMatchObject({ exitCode: 0 });
});
