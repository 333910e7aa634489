/**
 * Forwards TCP connections to <address>:<port> to a unix socket. Run inside a network namespace, it makes a server of the
 * outside reachable there: namespaces share the file system. TLS goes through untouched.
 *
 * node forward-to-socket.ts PORT PATH [ADDRESS]
 * ADDRESS is 127.0.0.1 when absent.
 */
import { connect, createServer } from 'node:net';

const [port, path = '', address = '127.0.0.1'] = process.argv.slice(2);
const server = createServer((inside) => {
  const outside = connect(path);
  const end = (): void => {
    inside.destroy();
    outside.destroy();
  };
  inside.on('error', end).pipe(outside);
  outside.on('error', end).pipe(inside);
});
server.listen(Number(port), address, () => process.stdout.write('forwarding\n'));
