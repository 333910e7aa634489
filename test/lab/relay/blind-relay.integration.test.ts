/**
 * The relay is blind: while two machines exchange a known text through it, neither the text nor a key that opens it is in
 * any frame at the relay's machine, in the memory of its processes or in their files.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@nexodus/clock/testing';
import { type HostProcess, processesIn, type VirtualHost } from '@nexodus/netsim';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { labEnvironment, repositoryFolder } from '../lab-environment.ts';
import { type LabMachine, TUNNEL } from '../lab-machine.ts';
import { answered, openRelayLab, pathTo, type RelayLab } from './relay-lab.ts';
import { searchMemory } from './search-memory.ts';

let lab: RelayLab;

beforeAll(async () => {
  lab = await openRelayLab();
});

afterAll(() => lab?.[Symbol.asyncDispose]());

/** Watches all interfaces of a machine for texts. */
async function watchWire(host: VirtualHost, texts: readonly Buffer[]): Promise<HostProcess> {
  const program = join(repositoryFolder, 'test', 'lab', 'relay', 'watch-wire.ts');
  const watcher = await host.spawn(
    'node',
    [program, ...texts.map((text) => text.toString('hex'))],
    { cwd: repositoryFolder, env: labEnvironment() },
  );
  await watcher.waitForLine(/^ready$/, { deadlineMs: 20_000 });
  return watcher;
}

function countsOf(watcher: HostProcess): { readonly frames: number; readonly found: number } {
  const [line = ''] = watcher.tail(1);
  const [, frames, found] = /^frames (\d+) found (\d+)$/.exec(line) ?? [];
  return { frames: Number(frames ?? -1), found: Number(found ?? -1) };
}

/** Sends fifty pings whose payload repeats the 16 bytes; nearly all of them arrive. */
async function exchange(from: LabMachine, to: LabMachine, text: Buffer): Promise<void> {
  const pattern = text.toString('hex');
  const args = ['-p', pattern, '-s', '1000', '-c', '50', '-i', '0.02', '-W', '2', to.ipv4];
  const said = await from.host.run('ping', args, { timeoutMs: 60_000 });
  expect(Number(/ (\d+) received/.exec(said)?.[1])).toBeGreaterThanOrEqual(45);
}

async function privateKeyOf(machine: LabMachine): Promise<readonly Buffer[]> {
  const text = (await machine.host.run('wg', ['show', TUNNEL, 'private-key'])).trim();
  const bytes = Buffer.from(text, 'base64');
  return [bytes, Buffer.from(bytes.toString('hex')), Buffer.from(text)];
}

test.for(['udp', 'tls'] as const)(
  'neither the text nor a key of the tunnel is at the relay (%s lane)',
  async (demand) => {
    const args = [`--relay-only=${demand}`];
    const { machine: a } = await lab.join(`a${demand}`, 'apdm-apdf', args);
    const { machine: b } = await lab.join(`b${demand}`, 'apdm-apdf', args);
    await eventually(async () => expect(await answered(a, b.ipv4, 1)).toBe(1), {
      timeoutMs: 30_000,
    });
    const text = randomBytes(16);
    const secrets = [text, ...(await privateKeyOf(a)), ...(await privateKeyOf(b))];
    const { host } = lab.service;
    const services = await processesIn(host.namespace);
    const atRelay = await watchWire(host, secrets);
    const atSender = await watchWire(a.host, [text]);
    const before = countsOf(atRelay).frames;
    await exchange(a, b, text);
    expect(await pathTo(a, b)).toMatchObject({ pathKind: `relay-${demand}` });
    // The text was on its way, and what carried it passed the relay's machine twice.
    await eventually(() => expect(countsOf(atSender).found).toBeGreaterThanOrEqual(90));
    await eventually(() => expect(countsOf(atRelay).frames).toBeGreaterThanOrEqual(before + 180));
    expect(countsOf(atRelay).found).toBe(0);
    expect(services.length).toBeGreaterThan(0);
    const known = Buffer.from(a.deviceId);
    const held = services.flatMap((pid) => searchMemory(pid, [known, ...secrets]));
    expect(new Set(held)).toEqual(new Set([known]));
    expect(filesWith(await filesOf(lab), secrets)).toEqual([]);
    for (const watcher of [atRelay, atSender]) await watcher.stop({ signal: 'SIGKILL' });
  },
);

async function filesOf({ service }: RelayLab): Promise<readonly string[]> {
  const listed = await service.host.run('find', [join(service.caFile, '..'), '-type', 'f']);
  const files = listed.split('\n').filter(Boolean);
  expect(files.length).toBeGreaterThan(10);
  return files;
}

function filesWith(files: readonly string[], texts: readonly Buffer[]): readonly string[] {
  return files.filter((file) => {
    const bytes = contentOf(file);
    return texts.some((text) => bytes.includes(text));
  });
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch {
    // The database removes files while it works.
    return Buffer.alloc(0);
  }
}
