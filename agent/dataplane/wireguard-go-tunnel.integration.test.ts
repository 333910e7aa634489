import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WireGuardPrivateKey } from '@nexodus/wireguard';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCommandRunner } from './command-runner.ts';
import { createNetworkNamespace } from './testing/network-namespace.ts';
import type { NetworkNamespace } from './testing/network-namespace.ts';
import { createSystemPorts } from './system-ports.ts';
import { createWireguardGoTunnel } from './wireguard-go-tunnel.ts';

describe('the wireguard-go tunnel', () => {
  let namespace: NetworkNamespace;
  const privateKey = WireGuardPrivateKey.generate();
  const options = { privateKey, listenPort: 0 };

  beforeEach(async () => {
    namespace = await createNetworkNamespace();
  });

  afterEach(async () => {
    await createWireguardGoTunnel(namespace).remove();
    await namespace.remove();
  });

  test('is refused where a tunnel of that name answers in another network namespace', async () => {
    await createWireguardGoTunnel(namespace).create(options);
    const elsewhere = await createNetworkNamespace();
    const { interfaceName } = namespace;
    const other = createWireguardGoTunnel({ ...elsewhere, interfaceName });
    await expect(other.create(options)).rejects.toMatchObject({ reason: 'interface-taken' });
    await expect(other.create(options)).rejects.toThrow(/outside this network namespace/);
    await other.remove();
    await elsewhere.remove();
    expect(await createWireguardGoTunnel(namespace).adopt(privateKey)).toBe(true);
  });

  test('is not started with a wireguard-go that is too old', async () => {
    const folder = join(namespace.stateDir, 'bin');
    await mkdir(folder);
    const program = join(folder, 'wireguard-go');
    await writeFile(program, '#!/bin/sh\necho wireguard-go v0.0.20220316\n');
    await chmod(program, 0o700);
    const searchPath = `${folder}:${process.env['PATH']}`;
    const prefix = ['ip', 'netns', 'exec', namespace.name];
    const runner = createCommandRunner({ prefix, searchPath });
    const tunnel = createWireguardGoTunnel({ ...namespace, runner });
    const refused = tunnel.create(options);
    await expect(refused).rejects.toMatchObject({ reason: 'wireguard-go-too-old' });
    await expect(refused).rejects.toMatchObject({
      remedy: expect.stringContaining('bookworm-backports'),
    });
  });

  test('shows the private key in no argument, log or state file', async () => {
    await createWireguardGoTunnel(namespace).create(options);
    const { interfaceName, stateDir } = namespace;
    const pid = (
      await readFile(join(stateDir, `wireguard-go-${interfaceName}.pid`), 'utf8')
    ).trim();
    const seen = await Promise.all(
      [
        `/proc/${pid}/cmdline`,
        `/proc/${pid}/environ`,
        join(stateDir, `wireguard-go-${interfaceName}.log`),
      ].map((path) => readFile(path, 'utf8')),
    );
    const hex = Buffer.from(privateKey.exportBytes()).toString('hex');
    expect(seen.join('\n')).not.toContain(hex);
    expect(seen.join('\n')).not.toContain(privateKey.exportBase64());
  });

  test('is chosen where the kernel has no WireGuard, and kept for an interface that is one', async () => {
    const probe = await namespace.runner.probe('ip', [
      'link',
      'add',
      'wgprobe',
      'type',
      'wireguard',
    ]);
    const hasKernel = probe.exitCode === 0;
    const ports = await createSystemPorts(namespace);
    expect(ports.tunnel.technology).toBe(hasKernel ? 'kernel' : 'wireguard-go');
    await createWireguardGoTunnel(namespace).create(options);
    expect((await createSystemPorts(namespace)).tunnel.technology).toBe('wireguard-go');
  });

  test('is not made for something that is no interface name', async () => {
    const ports = createSystemPorts({ ...namespace, interfaceName: 'nx0; flush ruleset' });
    await expect(ports).rejects.toMatchObject({ reason: 'invalid-plan' });
  });
});
