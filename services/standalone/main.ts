/** All services in one process: what `npm start` runs. */
import { runStandalone } from './run-standalone.ts';

await runStandalone();
