import { join } from 'node:path';
import type { HostProcess } from '@nexodus/netsim';
import { parseJoinLine } from './join-line.ts';
import { labEnvironment, repositoryFolder } from './lab-environment.ts';
import type { LabService, LabServicePlace, LabServiceStarter } from './lab-service.ts';

/** The service's public port: its default, on a machine of its own. */
const API_PORT = 7443;

/** A first start makes the database too; on a busy machine it takes a part of this. */
const START_DEADLINE_MS = 60_000;

/** The standalone service, opened to the LAN by the settings that its own text names. */
export const startStandaloneService: LabServiceStarter = async (place) => {
  const data = join(place.directory, 'data');
  const first = await startProcess(place, data);
  const printed = await first.waitForLine(/nexd up/, { deadlineMs: START_DEADLINE_MS });
  let running: HostProcess = first;
  const service: LabService = {
    joinArguments: parseJoinLine(printed.input),
    credentialsFile: join(data, 'bootstrap-credentials.json'),
    stop: async () => void (await running.stop()),
    start: async () => {
      running = await startProcess(place, data);
      await running.waitForLine(/https:/, { deadlineMs: START_DEADLINE_MS });
    },
    askIpam: () => Promise.reject(new Error('not yet')),
  };
  return service;
};

function startProcess({ host }: LabServicePlace, dataDir: string): Promise<HostProcess> {
  const settings = {
    NEXODUS_DATA_DIR: dataDir,
    NEXODUS_API_LISTEN: `${host.ipv4}:${API_PORT}`,
    NEXODUS_API_PUBLIC_URL: `https://${host.ipv4}:${API_PORT}`,
  };
  const main = join(repositoryFolder, 'services', 'standalone', 'main.ts');
  return host.spawn('node', [main], { cwd: repositoryFolder, env: labEnvironment(settings) });
}
