/**
 * Looks for texts in every frame that passes any interface of the machine it runs on. Arguments: the texts, in hexadecimal.
 * While it runs it prints `frames N found K` several times a second; `ready` first.
 */
import { writeSync } from 'node:fs';
import koffi from 'koffi';

const AF_PACKET = 17;
const SOCK_RAW = 3;
/** ETH_P_ALL in network order. */
const ALL_PROTOCOLS = 0x0300;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SO_RCVTIMEO = 20;
const BUFFER_BYTES = 64 * 1024 * 1024;
const WAIT_US = 100_000n;
const STDOUT = 1;
const REPORT_MS = 100;
/** Offloads make frames of up to 64 KiB. */
const FRAME_BYTES = 128 * 1024;

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);
const recv = libc.func('int64_t recv(int fd, _Out_ uint8_t *buffer, size_t length, int flags)');

const texts = process.argv.slice(2).map((hex) => Buffer.from(hex, 'hex'));
const fd = Number(socket(AF_PACKET, SOCK_RAW, ALL_PROTOCOLS));
if (fd < 0) throw new Error('no packet socket');
const size = Buffer.alloc(4);
size.writeInt32LE(BUFFER_BYTES);
setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
const wait = Buffer.alloc(16);
wait.writeBigInt64LE(WAIT_US, 8);
setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, wait, wait.length);

const frame = Buffer.alloc(FRAME_BYTES);
let [frames, found, saidAtMs] = [0, 0, 0];
writeSync(STDOUT, 'ready\n');
for (;;) {
  const length = Number(recv(fd, frame, frame.length, 0));
  if (length > 0) {
    frames += 1;
    const bytes = frame.subarray(0, length);
    if (texts.some((text) => bytes.includes(text))) found += 1;
  }
  if (performance.now() - saidAtMs < REPORT_MS) continue;
  saidAtMs = performance.now();
  writeSync(STDOUT, `frames ${frames} found ${found}\n`);
}
