import { CheckNetworkResponse } from '@nexodus/contracts/nexd';
import type { Command } from 'commander';
import { flagsOf } from '../command-flags.ts';
import { relayCheckView, reportLines } from '../netcheck-report.ts';
import { printData, printLine, printList } from '../print-resource.ts';
import { type DaemonFlags, withDaemon } from '../with-daemon.ts';

const EXAMPLES = `
Asks STUN servers and relays, which takes a few seconds, and ends with 0 whatever it finds.
How to read it: docs/operations/netcheck.md.

Examples:
  nexctl nexd netcheck
  nexctl --output json nexd netcheck`;

/** A check asks for up to 6 s; a busy machine takes longer. */
const TIMEOUT_MS = 20_000;

/** nexd netcheck. */
export function addNetcheckCommand(nexd: Command): void {
  nexd
    .command('netcheck')
    .description('Check the network of this machine: NAT, relays, and what stands in the way.')
    .addHelpText('after', EXAMPLES)
    .action((_flags: object, command: Command) => netcheck(command));
}

async function netcheck(command: Command): Promise<void> {
  const flags = flagsOf<DaemonFlags>(command);
  if (process.stderr.isTTY) process.stderr.write('checking the network ...\r');
  const report = await withDaemon(flags, ({ client }) =>
    client.checkNetwork({}, { timeoutMs: TIMEOUT_MS }),
  ).finally(() => {
    if (process.stderr.isTTY) process.stderr.write('\x1b[2K');
  });
  if (flags.output !== 'table') {
    printData(CheckNetworkResponse.toJSON(report), flags.output);
    return;
  }
  printReport(report);
}

function printReport(report: CheckNetworkResponse): void {
  for (const { name, text } of reportLines(report)) {
    printLine(`${(name === '' ? '' : `${name}:`).padEnd(12)}${text}`);
  }
  if (report.relays.length > 0) {
    printLine('');
    printList(report.relays, relayCheckView, 'table');
    if (report.relays.some(({ home }) => home)) printLine('* home: where peers call this machine');
  }
  printLine('');
  if (report.advice.length === 0) printLine('Nothing stands in the way of direct paths.');
  for (const { text } of report.advice) printLine(`! ${text}.`);
}
