import type { Clock } from '@nexodus/clock';
import type { AgentServiceImplementation, ConnectRequest, Hello } from '@nexodus/contracts/agent';
import { invalidArgument, unauthenticated } from '@nexodus/rpc';
import type { Caller } from '../identity/caller.ts';
import type { AgentSession } from './agent-session.ts';
import type { AgentSessions } from './agent-sessions.ts';

/** The handler of AgentService.Connect. */
export type ConnectHandler = AgentServiceImplementation<{ identity: Caller }>['connect'];

/** What a device gets to say Hello. */
const HELLO_MS = 10_000;

/** Makes the handler: Hello begins a session, which then speaks until one side ends the stream. */
export function createConnect(sessions: Pick<AgentSessions, 'open'>, clock: Clock): ConnectHandler {
  return async function* connect(requests, { identity, signal }) {
    if (identity.kind !== 'device') {
      throw unauthenticated('DEVICE_TOKEN_REQUIRED', 'only a device may open its stream');
    }
    const iterator = requests[Symbol.asyncIterator]();
    const hello = await readHello(iterator, clock);
    const session = await sessions.open(identity, hello);
    const gone = (): void => session.close();
    signal.addEventListener('abort', gone, { once: true });
    if (signal.aborted) gone();
    void hear(iterator, session);
    try {
      for await (const message of session.messages()) yield { message };
    } finally {
      signal.removeEventListener('abort', gone);
      session.close();
    }
  };
}

async function readHello(iterator: AsyncIterator<ConnectRequest>, clock: Clock): Promise<Hello> {
  const late = new AbortController();
  const first = await Promise.race([
    iterator.next(),
    clock.wait(HELLO_MS, late.signal).then(() => undefined),
  ]).finally(() => late.abort());
  const message = first === undefined || first.done === true ? undefined : first.value.message;
  if (message?.$case === 'hello') return message.value;
  throw invalidArgument([
    { field: 'hello', description: 'must be the first request, within 10 s' },
  ]);
}

/** Hands what the device says to its session until the stream ends, however that happens. */
async function hear(iterator: AsyncIterator<ConnectRequest>, session: AgentSession): Promise<void> {
  try {
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) break;
      session.receive(next.value);
    }
  } catch {
    // A broken stream is an ended one.
  } finally {
    session.close();
  }
}
