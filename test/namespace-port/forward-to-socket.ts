/**
 * Forwards TCP connections to 127.0.0.1:<port> to a unix socket. Run inside a network namespace, it makes a server of the
 * outside reachable there: namespaces share the file system. TLS goes through untouched.
 *
 * node forward-to-socket.ts PORT PATH
 */
import { connect, createServer } from 'node:net';

const [port, path = ''] = process.argv.slice(2);
const server = createServer((inside) => {
  const outside = connect(path);
  const end = (): void => {
    inside.destroy();
    outside.destroy();
  };
  inside.on('error', end).pipe(outside);
  outside.on('error', end).pipe(inside);
});
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('forwarding\n'));
