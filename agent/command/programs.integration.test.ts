import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeCredentialsFile } from '../nexctl/credentials-file.ts';
import { ExitCode } from './exit-code.ts';

const bin = fileURLToPath(new URL('../bin/', import.meta.url));

interface Outcome {
  exitCode: number;
  stdout: string;
  stderr: string;
}

let folder: string;
let silent: Server;
let silentUrl: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nexodus-programs-'));
  silent = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve);
  });
  const address = silent.address();
  silentUrl = `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
});

afterAll(() => {
  silent.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a program with a home and configuration of its own. */
function run(program: 'nexd' | 'nexctl', args: string[], env: NodeJS.ProcessEnv = {}) {
  return new Promise<Outcome>((resolve) => {
    const environment = { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_HOME: folder, ...env };
    const path = join(bin, `${program}.ts`);
    execFile(process.execPath, [path, ...args], { env: environment }, (error, stdout, stderr) => {
      const exitCode = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ exitCode, stdout, stderr });
    });
  });
}

const stateArguments = (): string[] => [
  '--state-dir',
  join(folder, 'state'),
  '--socket',
  join(folder, 'nexd.sock'),
  '--interface',
  'nxtest0',
];

describe('an error is one line that names the cause and the remedy, with its exit code', () => {
  const cases: [string, 'nexd' | 'nexctl', string[], number, RegExp][] = [
    [
      'unknown command',
      'nexctl',
      ['frobnicate'],
      ExitCode.usage,
      /unknown command 'frobnicate'\. See `nexctl --help`/,
    ],
    [
      'unknown option',
      'nexctl',
      ['vpc', 'list', '--frob'],
      ExitCode.usage,
      /unknown option '--frob'.* See `nexctl vpc list --help`/,
    ],
    [
      'missing argument',
      'nexctl',
      ['vpc', 'create'],
      ExitCode.usage,
      /missing required argument 'name'/,
    ],
    [
      'bad duration',
      'nexctl',
      ['reg-key', 'create', '--ttl', '5'],
      ExitCode.usage,
      /Use a number with s, m, h or d/,
    ],
    [
      'bad output format',
      'nexctl',
      ['-o', 'xml', 'vpc', 'list'],
      ExitCode.usage,
      /Allowed choices are table, json, yaml/,
    ],
    [
      'not logged in',
      'nexctl',
      ['vpc', 'list'],
      ExitCode.credentials,
      /not logged in\. Log in with/,
    ],
    [
      'plain http',
      'nexctl',
      ['login', '--service-url', 'http://x'],
      ExitCode.usage,
      /not encrypted\. Use the https/,
    ],
    [
      'no credentials file',
      'nexctl',
      ['--credentials', '/nonexistent', 'whoami'],
      ExitCode.credentials,
      /cannot be read/,
    ],
    [
      'no daemon',
      'nexctl',
      ['nexd', '--socket', '/nonexistent/nexd.sock', 'status'],
      ExitCode.unreachable,
      /No nexd listens/,
    ],
    [
      'bootstrap without a file',
      'nexctl',
      ['admin', 'bootstrap', 'rotate'],
      ExitCode.usage,
      /No credentials file is named/,
    ],
    ['bad port', 'nexd', ['up', '--listen-port', '65536'], ExitCode.usage, /from 0 to 65535/],
    [
      'an empty registration key',
      'nexd',
      ['up', '--reg-key', ''],
      ExitCode.usage,
      /not a registration key/,
    ],
    [
      'no registration key file',
      'nexd',
      ['up', '--reg-key-file', '/nonexistent'],
      ExitCode.usage,
      /cannot be read/,
    ],
  ];
  test.for(cases)('%s', async ([, program, args, exitCode, message]) => {
    const outcome = await run(program, args);
    expect(outcome).toMatchObject({ exitCode, stdout: '' });
    expect(outcome.stderr).toMatch(new RegExp(`^${program}: [^\n]+\n$`));
    expect(outcome.stderr).toMatch(message);
  });

  test('something that is no service', async () => {
    const outcome = await run('nexctl', ['login', '--service-url', silentUrl]);
    expect(outcome.exitCode).toBe(ExitCode.unreachable);
    expect(outcome.stderr).toMatch(/^nexctl: [^\n]+\n$/);
  });

  test('a rotation keeps what an earlier one left while nobody can say which key is valid', async () => {
    const path = join(folder, 'account.json');
    const key = Ed25519PrivateKey.generate('service-account');
    const account = { serviceUrl: silentUrl, serviceAccountId: 'a', key };
    await writeCredentialsFile(path, account);
    const rotate = ['--credentials', path, 'admin', 'bootstrap', 'rotate'];
    for (const [serviceAccountId, exitCode] of [
      ['a', ExitCode.unreachable],
      ['another', ExitCode.conflict],
    ] as const) {
      await writeCredentialsFile(`${path}.new`, { ...account, serviceAccountId });
      const kept = await run('nexctl', rotate);
      expect(kept.exitCode).toBe(exitCode);
      expect(existsSync(`${path}.new`)).toBe(true);
    }
    rmSync(`${path}.new`);
    const unreachable = await run('nexctl', rotate);
    expect(unreachable.stderr).not.toMatch(/not known/);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  test('a credentials file that others may read', async () => {
    const path = join(folder, 'open.json');
    writeFileSync(path, '{}', { mode: 0o644 });
    const outcome = await run('nexctl', ['whoami'], { NEXCTL_CREDENTIALS: path });
    expect(outcome.exitCode).toBe(ExitCode.credentials);
    expect(outcome.stderr).toMatch(/chmod 600/);
  });

  test('a text that is no registration key is not repeated', async () => {
    const outcome = await run('nexd', ['up', '--reg-key', 'hunter2', ...stateArguments()]);
    expect(outcome.exitCode).toBe(ExitCode.usage);
    expect(outcome.stderr).toMatch(
      /--reg-key shows the key.*\nnexd: This is not a registration key/,
    );
    expect(outcome.stderr).not.toMatch(/hunter2/);
  });

  test('a machine that joined nothing and is told no service makes no keys', async () => {
    const outcome = await run('nexd', ['up', ...stateArguments()]);
    expect(outcome.exitCode).toBe(ExitCode.usage);
    expect(outcome.stderr).toMatch(/has not joined any service yet\. Name one with --service-url/);
    expect(readdirSync(join(folder, 'state'))).not.toContain('keys.json');
  });

  test('a state directory in which keys are damaged is left as it is', async () => {
    const state = join(folder, 'damaged');
    const args = [
      '--state-dir',
      state,
      '--socket',
      join(folder, 'd.sock'),
      '--interface',
      'nxtest0',
    ];
    await run('nexd', ['up', ...args]);
    writeFileSync(join(state, 'keys.json'), '{"version":1,"dev', { mode: 0o600 });
    const outcome = await run('nexd', ['up', '--service-url', silentUrl, ...args]);
    expect(outcome.exitCode).toBe(ExitCode.state);
    expect(outcome.stderr).toMatch(/does not hold the keys of a device\. Restore/);
  });
});

test('help and version are no errors and name examples', async () => {
  const help = await run('nexd', ['up', '--help']);
  expect(help).toMatchObject({ exitCode: 0, stderr: '' });
  expect(help.stdout).toMatch(/Examples:\n {2}nexd up --service-url/);
  expect(await run('nexctl', ['--version'])).toMatchObject({ exitCode: 0, stdout: '0.1.0\n' });
});

describe('completion', () => {
  test('bash completes commands, inner commands and options', async () => {
    const script = join(folder, 'completion.bash');
    writeFileSync(script, (await run('nexctl', ['completion', 'bash'])).stdout);
    const complete = async (words: string): Promise<string> => {
      const line = words
        .split(' ')
        .map((word) => `'${word}'`)
        .join(' ');
      const ask = `source ${script}; COMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]}-1)); _nexctl_complete; echo "\${COMPREPLY[@]}"`;
      return (await promisify(execFile)('bash', ['-c', ask])).stdout.trim();
    };
    expect(await complete('nexctl vp')).toBe('vpc');
    expect(await complete('nexctl vpc ')).toBe('list create delete --help');
    expect(await complete('nexctl -o json reg-key create --e')).toBe('--ephemeral');
    expect(await complete('nexctl nexd pe')).toBe('peers');
  });

  test.for(['zsh', 'fish'])('%s has a script that names every command', async (shell) => {
    const { stdout, exitCode } = await run('nexctl', ['completion', shell]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/reg-key/);
    expect(stdout).toMatch(/--max-uses/);
  });
});
