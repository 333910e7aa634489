/** All services in one process: what `npm start` runs. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// What was compiled before starts a second sooner. In this clone and nowhere else: who can write it can run code here.
const clone = join(import.meta.dirname, '..', '..');
enableCompileCache(join(process.env['NEXODUS_CACHE_DIR'] ?? join(clone, '.cache'), 'compiled'));

const { runStandalone } = await import('./run-standalone.ts');
await runStandalone();
