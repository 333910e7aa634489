import { join } from 'node:path';
import type { HostProcess } from '@nexodus/netsim';
import { parseJoinLine } from './join-line.ts';
import { labEnvironment, repositoryFolder } from './lab-environment.ts';
import type { LabServicePlace, LabServiceStarter } from './lab-service.ts';

/** The service's public port: its default, on a machine of its own. */
const API_PORT = 7443;

/** A first start makes the database too; on a busy machine it takes a part of this. */
const START_DEADLINE_MS = 60_000;

/** The last line of what a service says when it is ready. */
const READY_LINE = /^Ctrl-C stops it/;

/** The standalone service, opened to the LAN by the one setting that its own text names. */
export const startStandaloneService: LabServiceStarter = async (place) => {
  const dataDir = join(place.directory, 'data');
  let running = await startProcess(place, dataDir);
  const printed = await running.waitForLine(/nexd up /, { deadlineMs: 1_000 });
  const stop = async (): Promise<void> => void (await running.stop());
  return {
    joinArguments: parseJoinLine(printed.input),
    credentialsFile: join(dataDir, 'bootstrap-credentials.json'),
    database: {
      host: join(dataDir, 'postgres', 'socket'),
      port: 5432,
      user: 'nexodus',
      database: 'nexodus',
    },
    log: () => running.tail(),
    stop,
    start: async () => {
      running = await startProcess(place, dataDir);
    },
    close: stop,
  };
};

async function startProcess({ host }: LabServicePlace, dataDir: string): Promise<HostProcess> {
  const main = join(repositoryFolder, 'services', 'standalone', 'main.ts');
  const started = await host.spawn('node', [main], {
    cwd: repositoryFolder,
    env: labEnvironment({
      NEXODUS_DATA_DIR: dataDir,
      NEXODUS_API_LISTEN: `${host.ipv4}:${API_PORT}`,
    }),
  });
  await started.waitForLine(READY_LINE, { deadlineMs: START_DEADLINE_MS });
  return started;
}
