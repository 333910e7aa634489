import { setMaxListeners } from 'node:events';
import { systemClock } from '@nexodus/clock';
import { createLogger, type LogLevel } from '@nexodus/telemetry';
import { Command, InvalidArgumentError, Option } from 'commander';
import { addCompletion } from '../command/completion.ts';
import { withTelemetry } from '../command/with-telemetry.ts';
import { readRegistrationKey } from '../enrol/registration-key-source.ts';
import { readProxySettings } from '../service-access/proxy-settings.ts';
import { AGENT_VERSION } from './agent-version.ts';
import { currentUser, defaultSocketPath, defaultStateDirectory } from './machine-paths.ts';
import { runDown } from './run-down.ts';
import { runUp } from './run-up.ts';

const UP_EXAMPLES = `
Examples:
  nexd up --service-url https://nexodus.example:7443 --ca-sha256 PIN --reg-key-file key.txt
  nexctl reg-key create -o json | jq -r .secret | nexd up --service-url URL --ca FILE --reg-key-file -
  nexd up --service-url URL              log in with a browser, on any machine
  nexd up                                again, after the first time

A registration key can also come in the variable NEXD_REG_KEY. Exit codes: docs/operations/exit-codes.md.`;

const DOWN_EXAMPLES = `
Examples:
  nexd down                              the tunnel goes, keys and enrolment stay
  nexd down --forget                     both go: the machine joins as a new device next time`;

interface CommonOptions {
  interface: string;
  stateDir?: string;
  socket?: string;
}

interface UpFlags extends CommonOptions {
  serviceUrl?: string;
  ca?: string;
  caSha256?: string;
  proxy?: string;
  regKeyFile?: string;
  regKey?: string;
  hostname?: string;
  organization?: string;
  vpc?: string;
  issuer?: string;
  listenPort: number;
  tunnel?: 'kernel' | 'wireguard-go';
  relayOnly?: 'any' | 'udp' | 'tls';
}

/** The command line of the daemon. */
export function createNexdProgram(): Command {
  const program = new Command('nexd')
    .description('Joins this machine to a Nexodus VPC and keeps its tunnel.')
    .version(AGENT_VERSION);
  common(program.command('up'))
    .description('Join where needed, bring the tunnel up and stay in the foreground.')
    .option('--service-url <url>', 'service to join, https://HOST:PORT')
    .option('--ca <file>', 'CA of the service, PEM')
    .option('--ca-sha256 <pin>', "SHA-256 fingerprint of the service's CA certificate")
    .option('--proxy <url>', 'HTTP proxy to the service (or HTTPS_PROXY, NO_PROXY); "" for none')
    .option('--reg-key-file <file>', 'file with a registration key; - for standard input')
    .option('--reg-key <key>', 'registration key (shown in the list of processes for a moment)')
    .option('--hostname <name>', "name in the VPC; default: this machine's")
    .option('--organization <name>', 'organization to join, after a login')
    .option('--vpc <name>', 'VPC to join')
    .option('--issuer <url>', 'issuer to log in at, where the service has several')
    .option('--listen-port <port>', 'UDP port of the tunnel; 0: any', parsePort, 0)
    .addOption(
      new Option(
        '--tunnel <kind>',
        'what carries the tunnel; default: the kernel where it can',
      ).choices(['kernel', 'wireguard-go']),
    )
    .addOption(
      new Option(
        '--relay-only [lane]',
        'reach all peers through relays only; by this lane only where one is named',
      )
        .choices(['any', 'udp', 'tls'])
        .preset('any'),
    )
    .addHelpText('after', UP_EXAMPLES)
    .action(up);
  common(program.command('down'))
    .description('Remove the tunnel, its routes, rules and names from this machine.')
    .option('--forget', 'also delete keys and enrolment', false)
    .addHelpText('after', DOWN_EXAMPLES)
    .action(down);
  addCompletion(program);
  return program;
}

function common(command: Command): Command {
  return command
    .option('--interface <name>', 'tunnel interface', 'nx0')
    .option('--state-dir <dir>', 'keys and state; default: /var/lib/nexodus/INTERFACE')
    .option('--socket <path>', 'socket of the daemon; default: /run/nexodus/INTERFACE.sock');
}

function pathsOf(flags: CommonOptions) {
  return {
    interfaceName: flags.interface,
    stateDirectory: flags.stateDir ?? defaultStateDirectory(flags.interface, currentUser()),
    socketPath: flags.socket ?? defaultSocketPath(flags.interface),
  };
}

async function up(flags: UpFlags): Promise<void> {
  const registrationKey = await readRegistrationKey({
    file: flags.regKeyFile,
    argument: flags.regKey,
    env: process.env,
  });
  const { abort, release } = abortOnSignals();
  const options = {
    ...pathsOf(flags),
    serviceUrl: flags.serviceUrl,
    trust: { caFile: flags.ca, caSha256: flags.caSha256 },
    proxies: readProxySettings(flags.proxy, process.env),
    registrationKey,
    hostname: flags.hostname,
    organization: flags.organization,
    vpc: flags.vpc,
    issuer: flags.issuer,
    listenPort: flags.listenPort,
    technology: flags.tunnel,
    relayOnly: flags.relayOnly,
  };
  const environment = {
    clock: systemClock,
    random: Math.random,
    logger: nexdLogger(),
    say,
    signal: abort.signal,
  };
  try {
    await withTelemetry('nexd', () => runUp(options, environment));
  } finally {
    release();
  }
}

async function down(flags: CommonOptions & { forget: boolean }): Promise<void> {
  await runDown({ ...pathsOf(flags), forget: flags.forget }, { logger: nexdLogger(), say });
}

/** SIGTERM and SIGINT end the daemon in order; a second one ends it at once. */
function abortOnSignals(): { abort: AbortController; release: () => void } {
  const abort = new AbortController();
  setMaxListeners(0, abort.signal);
  const onSignal = (): void => {
    if (abort.signal.aborted) process.exit(130);
    abort.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  const release = (): void => {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  };
  return { abort, release };
}

function nexdLogger() {
  const levels: readonly string[] = ['error', 'warn', 'info', 'debug', 'trace', 'silent'];
  const wanted = process.env.NEXD_LOG_LEVEL ?? 'error';
  const level = levels.includes(wanted) ? (wanted as LogLevel) : 'error'; // checked by the line itself
  return createLogger({ name: 'nexd', level });
}

function say(line: string): void {
  process.stdout.write(`nexd: ${line}\n`);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('Use a number from 0 to 65535.');
}
