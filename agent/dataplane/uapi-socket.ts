import { createConnection } from 'node:net';
import { DataplaneError } from './dataplane-error.ts';

/** Longest wait for wireguard-go's answer; 10,000 peers take it well under a second. */
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * Sends one UAPI request over the unix socket and returns the answer, its empty line excluded. Null: nobody listens
 * there. Throws DataplaneError(`tunnel-failed`) when somebody does and does not answer.
 */
export async function askUapi(socketPath: string, request: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath);
    const chunks: Buffer[] = [];
    let isConnected = false;
    const finish = (settle: () => void) => {
      socket.destroy();
      settle();
    };
    const fail = (detail: string, cause?: unknown) => {
      const message = `wireguard-go does not answer at ${socketPath}: ${detail}.`;
      const remedy = 'Run `nexd down` and `nexd up` to start it anew.';
      finish(() => reject(new DataplaneError('tunnel-failed', message, remedy, { cause })));
    };
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => fail(`no answer within ${ANSWER_TIMEOUT_MS} ms`));
    socket.on('connect', () => {
      isConnected = true;
      socket.write(request);
    });
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (!endsWithEmptyLine(chunks)) return;
      finish(() => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    socket.on('end', () => fail('it hung up'));
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      const isAbsent = cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED';
      if (!isConnected && isAbsent) finish(() => resolve(null));
      else fail(cause.code ?? 'it failed', cause);
    });
  });
}

function endsWithEmptyLine(chunks: readonly Buffer[]): boolean {
  const tail = Buffer.concat(chunks.slice(-2)).subarray(-2);
  return tail.toString('latin1') === '\n\n';
}
