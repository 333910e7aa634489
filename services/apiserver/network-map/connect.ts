import type { Clock } from '@nexodus/clock';
import type {
  AgentServiceImplementation,
  ConnectRequest,
  ConnectResponse,
} from '@nexodus/contracts/agent';
import { type ServedCall, unauthenticated } from '@nexodus/rpc';
import type { Caller } from '../identity/caller.ts';
import type { AgentSession } from './agent-session.ts';
import type { AgentSessions } from './agent-sessions.ts';
import { readHello } from './read-hello.ts';

/** The handler of AgentService.Connect. */
export type ConnectHandler = AgentServiceImplementation<ServedCall<Caller>>['connect'];

/** What a device gets to take in what ends its stream; well below the 2 s in which a deleted one must be gone. */
const FAREWELL_MS = 1_000;

/** Makes the handler: Hello begins a session, which then speaks until one side ends the stream. */
export function createConnect(
  sessions: Pick<AgentSessions, 'admission' | 'open'>,
  clock: Clock,
): ConnectHandler {
  return async function* connect(requests, { identity, signal, hangUpAfter }) {
    if (identity.kind !== 'device') {
      throw unauthenticated('DEVICE_TOKEN_REQUIRED', 'only a device may open its stream');
    }
    const leave = sessions.admission.enter(identity.id);
    try {
      const iterator = requests[Symbol.asyncIterator]();
      const hello = await readHello(iterator, clock);
      const session = await sessions.open(identity, hello, signal);
      void session.over.then(() => hangUpAfter(FAREWELL_MS));
      yield* speak(session, { iterator, signal });
    } finally {
      leave();
    }
  };
}

/** What a call is made of. */
interface Call {
  readonly iterator: AsyncIterator<ConnectRequest>;
  readonly signal: AbortSignal;
}

async function* speak(
  session: AgentSession,
  { iterator, signal }: Call,
): AsyncGenerator<Pick<ConnectResponse, 'message'>> {
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
