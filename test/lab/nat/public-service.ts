import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostProcess, VirtualHost } from '@nexodus/netsim';
import { parseJoinLine } from '../join-line.ts';
import { labEnvironment, repositoryFolder } from '../lab-environment.ts';

/**
 * A standalone service on a public machine, all on port 443: the API on its first address, login pages on its second, the
 * relay on its third where it has one (else beside the API). STUN is on the first and, for NAT discovery, on the second.
 */
export interface PublicService {
  readonly host: VirtualHost;
  readonly process: HostProcess;
  /** Of the public API, with the port. */
  readonly url: string;
  readonly caFile: string;
  /** Arguments of `nexd` by which the service tells people to join, `up` first. */
  readonly joinArguments: readonly string[];
  /** Credentials file of an administrator, for `nexctl --credentials`. */
  readonly credentialsFile: string;
  /** A person whom the service knows. */
  readonly person: { readonly email: string; readonly password: string };
}

const START_DEADLINE_MS = 90_000;

/** Starts it on a host with two links or three, with its data in a folder that is not there yet; ends with the host. */
export async function startPublicService(
  host: VirtualHost,
  dataDir: string,
): Promise<PublicService> {
  const [api, pages, relay] = host.links.map((link) => link.ipv4);
  const main = join(repositoryFolder, 'services', 'standalone', 'main.ts');
  const process = await host.spawn('node', [main], {
    cwd: repositoryFolder,
    env: labEnvironment({
      NEXODUS_DATA_DIR: dataDir,
      NEXODUS_API_LISTEN: `${api}:443`,
      NEXODUS_HTTPS_LISTEN: `${pages}:443`,
      NEXODUS_STUN_DISCOVERY_PORT: '3479',
      NEXODUS_STUN_DISCOVERY_ADDRESSES: `[${pages}]`,
      ...(relay === undefined ? {} : { NEXODUS_RELAY_LISTEN: `${relay}:443` }),
    }),
  });
  await process.waitForLine(/^Ctrl-C stops it/, { deadlineMs: START_DEADLINE_MS });
  const said = async (pattern: RegExp): Promise<string> =>
    (await process.waitForLine(pattern, { deadlineMs: 1_000 }))[1] ?? '';
  const joinLine = await process.waitForLine(/nexd up /, { deadlineMs: 1_000 });
  return {
    host,
    process,
    url: await said(/^ +Service +(\S+)$/),
    caFile: join(dataDir, 'ca.pem'),
    joinArguments: parseJoinLine(joinLine.input),
    credentialsFile: join(dataDir, 'bootstrap-credentials.json'),
    person: {
      email: await said(/^ +Demo user +(\S+)$/),
      password: (await readFile(await said(/^ +Password +in (\S+)$/), 'utf8')).trim(),
    },
  };
}
