export { loadStandaloneSettings, standaloneSettings } from './settings.ts';
export type { StandaloneSettings } from './settings.ts';
export { startStandalone } from './standalone.ts';
export type { RunningStandalone, StandaloneFacts, StandaloneOptions } from './standalone.ts';
