import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runChecked } from '@nexodus/netsim';
import { z } from 'zod';
import { type ServiceProcesses, startServiceProcesses } from '../deploy/service-processes.ts';
import { exposeSocket } from '../namespace-port/expose-port.ts';
import { labEnvironment, repositoryFolder } from './lab-environment.ts';
import type { LabServicePlace, LabServiceStarter } from './lab-service.ts';
import { createNexctl } from './nexctl.ts';

const API_PORT = 7443;

/**
 * The services as processes of their own, with the files of deploy/, on a real PostgreSQL and a real nats-server. They run
 * in the namespace of this process; the public API listens on a unix socket, which a program on the service's machine shows
 * to the LAN: TLS ends in the apiserver.
 */
export const startSeparateServices: LabServiceStarter = async (place) => {
  const { host, directory } = place;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const socketPath = join(directory, 'api.sock');
  const processes = await startServiceProcesses({
    publicHost: host.ipv4,
    publicPort: API_PORT,
    environment: {
      apiserver: { NEXODUS_API_LISTEN: `unix:${socketPath}` },
      stun: { NEXODUS_STUN_LISTEN: '["127.0.0.1:0"]' },
      relay: { NEXODUS_RELAY_LISTEN: '127.0.0.1:0' },
    },
  });
  try {
    await exposeSocket(host, socketPath, API_PORT, host.ipv4);
    const credentialsFile = await createAdministrator(processes, directory);
    return {
      joinArguments: await createJoinArguments(processes, place, credentialsFile),
      credentialsFile,
      database: processes.databaseUrl,
      log: () => lastLines(processes),
      stop: async () => {
        await Promise.all([...processes.services.values()].map((service) => service.terminate()));
      },
      start: async () => {
        const names = [...processes.services.keys()];
        await Promise.all(names.map((name) => processes.restart(name)));
      },
      close: () => processes.stop(),
    };
  } catch (error) {
    await processes.stop();
    throw error;
  }
};

/** By the program of deploy/, as an operator would. */
async function createAdministrator(
  { databaseUrl, publicUrl, publicCaFile }: ServiceProcesses,
  directory: string,
): Promise<string> {
  const credentialsFile = join(directory, 'credentials.json');
  const where = ['--url', databaseUrl, '--service-url', publicUrl, '--ca', publicCaFile];
  const who = ['--owner-issuer', 'https://issuer.invalid', '--owner-subject', 'nobody'];
  const what = ['--organization', 'lab', '--owner-email', 'nobody@example.com'];
  await runChecked(
    ['node', 'deploy/bootstrap.ts', ...where, ...what, ...who, '--credentials', credentialsFile],
    { cwd: repositoryFolder, env: labEnvironment() },
  );
  return credentialsFile;
}

/** As deploy/prepare.ts tells it, with a key for one machine. */
async function createJoinArguments(
  { publicUrl, publicCaSha256 }: ServiceProcesses,
  { host, directory }: LabServicePlace,
  credentialsFile: string,
): Promise<readonly string[]> {
  const created = await createNexctl(host, credentialsFile).json(['reg-key', 'create']);
  const keyFile = join(directory, 'first-key');
  await writeFile(keyFile, `${createdKey.parse(created).secret}\n`, { mode: 0o600 });
  const service = ['--service-url', publicUrl, '--ca-sha256', publicCaSha256];
  return ['up', ...service, '--reg-key-file', keyFile];
}

const createdKey = z.object({ secret: z.string().min(1) });

function lastLines({ services }: ServiceProcesses): readonly string[] {
  return [...services].flatMap(([name, { lines }]) =>
    lines.slice(-5).map((line) => `${name}: ${line}`),
  );
}
