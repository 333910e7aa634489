import { rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { VirtualHost } from '@nexodus/netsim';
import { labEnvironment } from '../lab/lab-environment.ts';

/** Makes a server that listens on a unix socket reachable at `address`:`port` of a host, until the host is closed. */
export async function exposeSocket(
  host: VirtualHost,
  socketPath: string,
  port: number,
  address = '127.0.0.1',
): Promise<void> {
  const script = fileURLToPath(new URL('forward-to-socket.ts', import.meta.url));
  const program = await host.spawn(process.execPath, [script, String(port), socketPath, address], {
    env: labEnvironment(),
  });
  await program.waitForLine(/forwarding/, { deadlineMs: 10_000 });
}

/** Makes a server on 127.0.0.1:`from` of this process's namespace reachable at 127.0.0.1:`to` of a host. */
export async function exposePort(
  host: VirtualHost,
  ports: { from: number; to: number; folder: string },
): Promise<AsyncDisposable> {
  const socketPath = join(ports.folder, `port-${ports.to}.sock`);
  const server = createServer((inside) => {
    const outside = connect(ports.from, '127.0.0.1');
    const end = (): void => {
      inside.destroy();
      outside.destroy();
    };
    inside.on('error', end).on('close', end).pipe(outside);
    outside.on('error', end).on('close', end).pipe(inside);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  await exposeSocket(host, socketPath, ports.to);
  return {
    [Symbol.asyncDispose]: async () => {
      server.close();
      await rm(socketPath, { force: true });
    },
  };
}
