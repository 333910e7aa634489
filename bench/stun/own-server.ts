/** Our server with one thread and no ration: `node own-server.ts ADAPTER ADDRESS PORT`. */
import { openStunServer } from '@nexodus/stun-server';

const [adapter = '', address = '', port = ''] = process.argv.slice(2);
if (adapter !== 'koffi' && adapter !== 'dgram') throw new RangeError(`no adapter ${adapter}`);
const server = await openStunServer({
  listen: [{ host: address, port: Number(port) }],
  software: 'Nexodus',
  limit: { ratePerSecond: 1e9, burst: 1e9, tableSize: 65_536 },
  threads: 1,
  adapter,
  onFailure: (error) => {
    throw error;
  },
});
process.once('SIGTERM', () => void server.stop());
