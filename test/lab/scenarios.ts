import { lanScenario } from './lan-scenario.ts';
import type { Scenario } from './scenario.ts';

/** All scenarios; the first is the default. */
export const scenarios: readonly [Scenario, ...Scenario[]] = [lanScenario];
