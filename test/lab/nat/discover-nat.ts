import { fileURLToPath } from 'node:url';
import type { HostProcess, NatKind, VirtualHost } from '@nexodus/netsim';

/** What a machine finds its NAT to be: `none` (nor a filter), or mapping and filtering by RFC 5780 sections 4.3 and 4.4. */
export type NatFound = 'none' | NatKind | 'unknown';

/** A STUN server with two addresses and two ports, as RFC 5780 needs it. */
export interface NatDiscoveryServer {
  readonly address: string;
  readonly process: HostProcess;
}

const START_DEADLINE_MS = 20_000;
const DISCOVERY_TIMEOUT_MS = 60_000;
const PORT = '3478';

/** Starts coturn for STUN alone on a host whose first two links have an address each. */
export async function startNatDiscoveryServer(host: VirtualHost): Promise<NatDiscoveryServer> {
  const [first, second] = host.links.map((link) => link.ipv4);
  if (first === undefined || second === undefined)
    throw new RangeError(`${host.name} needs two IPv4 addresses`);
  const process = await host.spawn('turnserver', [
    '-n',
    '--stun-only',
    '--no-tls',
    '--no-dtls',
    '--no-cli',
    '--log-file=stdout',
    '--pidfile=/run/turnserver.pid',
    `--listening-port=${PORT}`,
    `--listening-ip=${first}`,
    `--listening-ip=${second}`,
  ]);
  await process.waitForLine(/Total General servers/, { deadlineMs: START_DEADLINE_MS });
  return { address: first, process };
}

/** Starts our own server on such a host. */
export async function startOwnDiscoveryServer(host: VirtualHost): Promise<NatDiscoveryServer> {
  const [first, second] = host.links.map((link) => link.ipv4);
  if (first === undefined || second === undefined)
    throw new RangeError(`${host.name} needs two IPv4 addresses`);
  const program = fileURLToPath(new URL('./stun-server.ts', import.meta.url));
  const process = await host.spawn('node', [program, first, second, PORT]);
  await process.waitForLine(/STUN answers/, { deadlineMs: START_DEADLINE_MS });
  return { address: first, process };
}

/** Asks `turnutils_natdiscovery` on a machine what is between it and the server. */
export async function discoverNat(
  machine: VirtualHost,
  server: NatDiscoveryServer,
): Promise<NatFound> {
  const said = await machine.run(
    'turnutils_natdiscovery',
    ['-m', '-f', '-L', machine.ipv4, '-p', PORT, server.address],
    { timeoutMs: DISCOVERY_TIMEOUT_MS },
  );
  return parseNatDiscovery(said);
}

/** Reads the two sentences in which `turnutils_natdiscovery` concludes. */
function parseNatDiscovery(text: string): NatFound {
  const mapping = /No NAT!/.test(text) ? 'none' : /NAT with (.+) Mapping!/.exec(text)?.[1];
  const filtering = /NAT with (.+) Filtering!/.exec(text)?.[1];
  const kinds: Readonly<Record<string, NatFound>> = {
    [`none/${ENDPOINT_INDEPENDENT}`]: 'none',
    [`${ENDPOINT_INDEPENDENT}/${ENDPOINT_INDEPENDENT}`]: 'eim-eif',
    [`${ENDPOINT_INDEPENDENT}/${ADDRESS_DEPENDENT}`]: 'eim-adf',
    [`${ENDPOINT_INDEPENDENT}/${ADDRESS_AND_PORT_DEPENDENT}`]: 'eim-apdf',
    [`${ADDRESS_AND_PORT_DEPENDENT}/${ADDRESS_AND_PORT_DEPENDENT}`]: 'apdm-apdf',
  };
  return kinds[`${mapping}/${filtering}`] ?? 'unknown';
}

const ENDPOINT_INDEPENDENT = 'Endpoint Independent';
const ADDRESS_DEPENDENT = 'Address Dependent';
const ADDRESS_AND_PORT_DEPENDENT = 'Address and Port Dependent';
