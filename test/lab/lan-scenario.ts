import { once } from 'node:events';
import { createLab, type Lab } from './lab.ts';
import { isWhole, measurePairs } from './measure-pairs.ts';
import { renderPairTable } from './pair-table.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';
import { startStandaloneService } from './standalone-service.ts';

/** Three machines on one LAN with a standalone service: the table of all pairs. */
export const lanScenario: Scenario = {
  name: 'lan',
  summary: 'three machines and a standalone service on one LAN',
  async run(context) {
    const { report, print, signal, isKept } = context;
    const machines = ['a', 'b', 'c'];
    await using lab = await createLab({
      machines,
      service: startStandaloneService,
      report,
      signal,
    });
    const pairs = await measurePairs(lab.machines, {
      signal,
      report: (pair) => report(`measuring ${pair}`),
    });
    print(renderPairTable(pairs));
    if (isKept) await keep(lab, context);
    report('removing the lab');
    return pairs.every((pair) => isWhole(pair, true));
  },
};

async function keep(lab: Lab, { report, signal }: ScenarioContext): Promise<void> {
  for (const { name, host } of lab.machines) {
    report(`${name}: ip netns exec ${host.namespace} bash`);
  }
  report('the lab stays until Ctrl-C');
  if (!signal.aborted) await once(signal, 'abort');
}
