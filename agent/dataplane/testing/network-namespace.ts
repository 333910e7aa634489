import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createCommandRunner } from '../command-runner.ts';
import type { CommandRunner } from '../command-runner.ts';

const execute = promisify(execFile);

/** A network namespace of its own for a test, with loopback up. */
export interface NetworkNamespace {
  readonly name: string;
  /** An interface name that no other test uses: UAPI sockets of all namespaces lie in one folder. */
  readonly interfaceName: string;
  readonly stateDir: string;
  /** Runs commands inside. */
  readonly runner: CommandRunner;
  /** Runs one command line, split at blanks, and returns its standard output. */
  readonly run: (commandLine: string) => Promise<string>;
  readonly remove: () => Promise<void>;
}

/** Makes a namespace. Throws, saying so, without root. */
export async function createNetworkNamespace(): Promise<NetworkNamespace> {
  if (process.geteuid?.() !== 0) {
    throw new Error('This test makes network namespaces: run it as root.');
  }
  const id = randomBytes(4).toString('hex');
  const name = `nexodus-test-${id}`;
  await execute('ip', ['netns', 'add', name]);
  const runner = createCommandRunner({ prefix: ['ip', 'netns', 'exec', name] });
  const run = async (commandLine: string) => {
    const [command = '', ...args] = commandLine.split(' ');
    return (await runner.run(command, args)).stdout;
  };
  await run('ip link set lo up');
  const stateDir = await mkdtemp(join(tmpdir(), 'nexodus-dataplane-'));
  return {
    name,
    interfaceName: `nx${id}`,
    stateDir,
    runner,
    run,
    remove: async () => {
      await execute('ip', ['netns', 'delete', name]);
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

/** Joins two namespaces by a cable: `left` and `right` are the addresses (with length) of interface `eth0` in each. */
export async function joinNamespaces(
  [left, leftAddresses]: readonly [NetworkNamespace, readonly string[]],
  [right, rightAddresses]: readonly [NetworkNamespace, readonly string[]],
): Promise<void> {
  const peer = ['peer', 'name', 'eth0', 'netns', right.name];
  await left.runner.run('ip', ['link', 'add', 'eth0', 'type', 'veth', ...peer]);
  const ends = [
    [left, leftAddresses],
    [right, rightAddresses],
  ] as const;
  for (const [namespace, addresses] of ends) {
    for (const address of addresses) {
      const isIpv6 = address.includes(':');
      await namespace.run(`ip address add ${address} dev eth0${isIpv6 ? ' nodad' : ''}`);
    }
    await namespace.run('ip link set eth0 up');
  }
}
