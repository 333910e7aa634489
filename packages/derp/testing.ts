/**
 * The other end of a connection, for tests: written from the published description of the protocol alone, on another
 * implementation of NaCl, and sharing no line with this package, so that the two cannot be wrong together.
 */
import type { Duplex } from 'node:stream';
import nacl from 'tweetnacl';

/** A frame as it was read. */
export interface PlainFrame {
  readonly type: number;
  readonly payload: Buffer;
}

/** Reads and writes single frames. */
export interface PlainPeer {
  /** The next frame. Rejects when the stream ends first. */
  read(): Promise<PlainFrame>;
  write(type: number, ...payload: readonly Uint8Array[]): void;
  readonly stream: Duplex;
}

/** Speaks frames over a stream; `head` is what had been read of it already. */
export function createPlainPeer(stream: Duplex, head: Uint8Array = Buffer.alloc(0)): PlainPeer {
  const frames = framesOf(stream, head);
  return {
    stream,
    read: async () => {
      const { value } = await frames.next();
      if (value === undefined) throw new Error('the stream ended');
      return value;
    },
    write: (type, ...payload) => {
      const body = Buffer.concat(payload);
      const header = Buffer.alloc(5);
      header.writeUInt8(type, 0);
      header.writeUInt32BE(body.length, 1);
      stream.write(Buffer.concat([header, body]));
    },
  };
}

async function* framesOf(stream: Duplex, head: Uint8Array): AsyncGenerator<PlainFrame, undefined> {
  const chunks = stream.iterator({ destroyOnReturn: false });
  for (let held = Buffer.from(head); ;) {
    while (held.length >= 5 && held.length >= 5 + held.readUInt32BE(1)) {
      const end = 5 + held.readUInt32BE(1);
      yield { type: held.readUInt8(0), payload: held.subarray(5, end) };
      held = held.subarray(end);
    }
    const { value, done } = await chunks.next();
    if (done === true) return undefined;
    held = Buffer.concat([held, value as Buffer]); // a stream of bytes
  }
}

/**
 * Logs in as a client does: greeting in, own key and sealed info out, sealed info in. Gives what the server said about
 * itself. Throws where a step is not as described.
 */
export async function logInAsClient(
  peer: PlainPeer,
  secretKey: Uint8Array,
  info: object = { version: 2 },
): Promise<unknown> {
  const serverKey = await readGreeting(peer);
  sendClientInfo(peer, { serverKey, secretKey, info });
  const answer = await peer.read();
  if (answer.type !== 3) throw new Error(`expected server info, got frame ${answer.type}`);
  return openInfo(answer.payload, serverKey, secretKey);
}

/** Reads the greeting and gives the server's key. */
export async function readGreeting(peer: PlainPeer): Promise<Buffer> {
  const { type, payload } = await peer.read();
  if (type !== 1) throw new Error(`expected a greeting, got frame ${type}`);
  if (payload.subarray(0, 8).toString() !== 'DERP🔑') throw new Error('the magic is wrong');
  return payload.subarray(8, 40);
}

/** Sends key and sealed info. */
export function sendClientInfo(
  peer: PlainPeer,
  login: { serverKey: Uint8Array; secretKey: Uint8Array; info?: object },
): void {
  const { serverKey, secretKey, info = { version: 2 } } = login;
  const { publicKey } = nacl.box.keyPair.fromSecretKey(secretKey);
  const nonce = nacl.randomBytes(24);
  const message = Buffer.from(JSON.stringify(info));
  peer.write(2, publicKey, nonce, nacl.box(message, nonce, serverKey, secretKey));
}

/** Logs a client in as a server does; gives its key and its info. */
export async function logInAsServer(
  peer: PlainPeer,
  info: object = { version: 2 },
): Promise<{ clientKey: Buffer; clientInfo: unknown }> {
  const { publicKey, secretKey } = nacl.box.keyPair();
  peer.write(1, Buffer.from('DERP🔑'), publicKey);
  const { type, payload } = await peer.read();
  if (type !== 2) throw new Error(`expected client info, got frame ${type}`);
  const clientKey = payload.subarray(0, 32);
  const clientInfo = openInfo(payload.subarray(32), clientKey, secretKey);
  const nonce = nacl.randomBytes(24);
  const message = Buffer.from(JSON.stringify(info));
  peer.write(3, nonce, nacl.box(message, nonce, clientKey, secretKey));
  return { clientKey, clientInfo };
}

function openInfo(bytes: Buffer, theirs: Uint8Array, secretKey: Uint8Array): unknown {
  const message = nacl.box.open(bytes.subarray(24), bytes.subarray(0, 24), theirs, secretKey);
  if (message === null) throw new Error('the box does not open');
  return JSON.parse(Buffer.from(message).toString());
}
