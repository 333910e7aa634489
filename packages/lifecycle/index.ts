export { runParts, startParts } from './parts.ts';
export type { Part, RunningParts } from './parts.ts';
