import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { DaemonState, GetStatusResponse, type Peer } from '@nexodus/contracts/nexd';
import type { Command } from 'commander';
import { CommandError } from '../../command/command-error.ts';
import { ExitCode } from '../../command/exit-code.ts';
import { flagsOf, parseCount } from '../command-flags.ts';
import { peerView, secondsText } from '../peer-view.ts';
import { type OutputFormat, printData, printLine, printList } from '../print-resource.ts';
import { required } from '../required-answer.ts';
import { type DaemonFlags, withDaemon } from '../with-daemon.ts';
import { addNetcheckCommand } from './netcheck-command.ts';
import { watchPeers } from './watch-peers.ts';

const PEERS_EXAMPLES = `
Examples:
  nexctl nexd peers
  nexctl nexd peers --watch
  nexctl --output json nexd peers --watch | jq -c '.[] | {hostname, pathKind}'`;

const PING_EXAMPLES = `
Examples:
  nexctl nexd ping web1
  nexctl nexd ping web1.default.nexodus -6 -c 3`;

/** nexd status, peers, netcheck, ping. */
export function addNexdCommands(program: Command): void {
  const nexd = program
    .command('nexd')
    .description('The daemon of this machine.')
    .option('--interface <name>', 'its tunnel interface', 'nx0')
    .option('--socket <path>', 'its socket; default: /run/nexodus/INTERFACE.sock');
  nexd
    .command('status')
    .description('Show how the daemon stands.')
    .action((_flags: object, command: Command) => status(command));
  nexd
    .command('peers')
    .description('List the peers that this machine may see.')
    .option('-w, --watch', 'show them anew each second until Ctrl-C', false)
    .addHelpText('after', PEERS_EXAMPLES)
    .action((_flags: object, command: Command) => peers(command));
  addNetcheckCommand(nexd);
  nexd
    .command('ping')
    .description('Ping a peer through the tunnel.')
    .argument('<peer>', 'hostname, name in the VPC, device id or address')
    .option('-6', 'use its IPv6 address', false)
    .option('-c, --count <n>', 'stop after this many; default: go on', parseCount)
    .addHelpText('after', PING_EXAMPLES)
    .action((wanted: string, _flags: object, command: Command) => ping(wanted, command));
}

const stateNames: Readonly<Record<DaemonState, string>> = {
  [DaemonState.UNSPECIFIED]: 'unknown',
  [DaemonState.STARTING]: 'starting',
  [DaemonState.NEEDS_LOGIN]: 'waits for a login',
  [DaemonState.RUNNING]: 'running',
  [DaemonState.OFFLINE]: 'offline: the service is out of reach, tunnels stay up',
  [DaemonState.REMOVED]: 'removed from its VPC',
  [DaemonState.STOPPING]: 'going down',
  [DaemonState.UNRECOGNIZED]: 'unknown',
};

async function status(command: Command): Promise<void> {
  const flags = flagsOf<DaemonFlags>(command);
  const answer = await withDaemon(flags, ({ client }) => client.getStatus({}));
  if (flags.output !== 'table') {
    printData(GetStatusResponse.toJSON(answer), flags.output);
    return;
  }
  const lines: [string, string][] = [
    ['state', stateNames[answer.state]],
    ['problem', answer.problem],
    ['hostname', answer.hostname],
    ['vpc', answer.vpcName],
    ['addresses', [answer.ipv4Address, answer.ipv6Address].filter(Boolean).join(', ')],
    ['interface', tunnelText(answer)],
    ['peers', String(answer.peerCount)],
    ['service', answer.serviceUrl],
    ['proxy', answer.proxy],
    ['home relay', answer.homeRelayId],
    ...relayedLines(answer),
    ['revision', String(answer.appliedRevision)],
    ['lease until', secondsText(answer.leaseUntilSeconds)],
    ['names', answer.names],
    ['device id', answer.deviceId],
    ['version', answer.version],
  ];
  for (const [name, text] of lines) {
    if (text !== '') printLine(`${`${name}:`.padEnd(13)}${text}`);
  }
}

function relayedLines({ relayed }: GetStatusResponse): [string, string][] {
  return relayed.map(({ peers: count, reason }) => ['relayed', `${count}: ${reason}`]);
}

async function peers(command: Command): Promise<void> {
  const flags = flagsOf<DaemonFlags & { watch: boolean }>(command);
  await withDaemon(flags, async ({ client }) => {
    const list = async () => (await client.listPeers({})).peers;
    if (flags.watch) await watchOnThisTerminal(list, flags.output);
    else printList(await list(), peerView, flags.output);
  });
}

async function watchOnThisTerminal(list: () => Promise<Peer[]>, output: OutputFormat) {
  const { stdout } = process;
  const abort = new AbortController();
  const end = (): void => abort.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  // Whoever read it has seen enough.
  stdout.once('error', end);
  const size = () => (stdout.isTTY ? { columns: stdout.columns, rows: stdout.rows } : undefined);
  const write = (text: string) => void stdout.write(text);
  try {
    await watchPeers({ list, output, screen: { size, write }, signal: abort.signal });
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
    stdout.off('error', end);
  }
}

async function ping(wanted: string, command: Command): Promise<void> {
  const flags = flagsOf<DaemonFlags & { 6: boolean; count?: number }>(command);
  const answer = await withDaemon(flags, ({ client }) => client.resolvePeer({ name: wanted }));
  const peer = required(answer.peer);
  const address = flags[6] || wanted.includes(':') ? peer.ipv6Address : peer.ipv4Address;
  if (peer.refused !== '' || address === '') {
    throw new CommandError(
      ExitCode.conflict,
      `${peer.hostname} is not in the tunnel${peer.refused === '' ? '' : `: ${peer.refused}`}`,
      'See `nexctl nexd peers`',
    );
  }
  const count = flags.count === undefined ? [] : ['-c', String(flags.count)];
  const exitCode = await runPing([...count, address]);
  if (exitCode === 0) return;
  throw new CommandError(
    ExitCode.unreachable,
    `${peer.hostname} (${address}) does not answer`,
    'See `nexctl nexd peers` for its path, and ask whether it is online',
  );
}

/** Runs the system's ping on this terminal; Ctrl-C ends ping, which then sums up. */
async function runPing(args: readonly string[]): Promise<number> {
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  const child = spawn('ping', args, { stdio: 'inherit' });
  try {
    const [code] = await once(child, 'close');
    return typeof code === 'number' ? code : 1;
  } catch (cause) {
    throw new CommandError(
      ExitCode.environment,
      'The program ping cannot be run',
      'Install the Debian package iputils-ping',
      { cause },
    );
  } finally {
    process.off('SIGINT', ignore);
  }
}

function tunnelText({ interfaceName, tunnelKind, listenPort }: GetStatusResponse): string {
  return tunnelKind === ''
    ? interfaceName
    : `${interfaceName} (${tunnelKind}, UDP port ${listenPort})`;
}
