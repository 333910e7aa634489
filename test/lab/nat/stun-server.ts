/** Our STUN server on two addresses and two ports of the machine it runs on: `node stun-server.ts FIRST SECOND PORT`. */
import { openStunServer } from '@nexodus/stun-server';

const [first = '', second = '', port = ''] = process.argv.slice(2);
await openStunServer({
  listen: [{ host: first, port: Number(port) }],
  discovery: { port: Number(port) + 1, addresses: [second] },
  software: 'Nexodus',
  limit: { ratePerSecond: 1_000, burst: 1_000, tableSize: 1_024 },
  threads: 2,
  onFailure: (error) => {
    throw error;
  },
});
process.stdout.write('STUN answers\n');
