/** A login that nobody confirms, at a real issuer whose codes end soon. */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertificateAuthority } from '@nexodus/certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startControlPlane } from '../control-plane/control-plane.ts';
import { createPerson, type Person } from './person.ts';
import { startTestIssuer } from './test-issuer.ts';

const stack = new AsyncDisposableStack();
let where: string[];
let person: Person;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-late-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const ca = await createCertificateAuthority({ commonName: 'Test CA', now: new Date(), years: 1 });
  const issuer = stack.use(await startTestIssuer({ ca, accounts: [], deviceCodeSeconds: 2 }));
  const socket = join(folder, 'api.sock');
  // The service must know its URL before it listens.
  const audience = `https://127.0.0.1:${await forwardTo(socket)}`;
  const plane = await startControlPlane({
    address: `unix:${socket}`,
    audience,
    issuers: [issuer.trusted],
    publicCa: ca,
  });
  stack.defer(() => plane.stop());
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, ca.certificatePem);
  where = ['--service-url', audience, '--ca', caFile];
  person = stack.use(await createPerson());
});
afterAll(() => stack.disposeAsync());

/** Listens on a free port of 127.0.0.1 for what is served at a socket. */
async function forwardTo(socket: string): Promise<number> {
  const server = createServer((near) => {
    const far = connect(socket);
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    near.on('error', end).on('close', end).pipe(far);
    far.on('error', end).on('close', end).pipe(near);
  });
  stack.defer(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('a code that has ended ends the login with 3, and says that it was too late', async () => {
  const { process } = await person.beginLogin(where);
  stack.use(process);
  expect(await process.exited).toEqual({ exitCode: 3, signal: null });
  expect(process.tail(1)).toEqual(['nexctl: The login was not confirmed in time. Log in again.']);
  await expect(stat(person.loginFile)).rejects.toMatchObject({ code: 'ENOENT' });
});
