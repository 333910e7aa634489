import { afterAll, beforeAll, describe } from 'vitest';
import { describeEnforcement } from './enforcement.contract.ts';
import { createLab, type Lab } from './lab.ts';
import type { LabServiceStarter } from './lab-service.ts';
import { describeMembership } from './membership.contract.ts';
import { describeOutages } from './outages.contract.ts';
import { describeReachability } from './reachability.contract.ts';

/** Three machines, six processes and a database start on what may be two busy processors. */
const LAB_DEADLINE_MS = 120_000;

/**
 * What the product promises, on real machines: the same for every form in which the service runs. The groups use one
 * lab, one after the other; each leaves machines a, b and c joined and meshed.
 */
export function describeLab(form: string, service: LabServiceStarter): void {
  describe(`a lab with ${form}`, () => {
    let lab: Lab | undefined;
    const running = (): Lab => {
      if (lab === undefined) throw new Error('the lab did not start');
      return lab;
    };
    beforeAll(async () => {
      lab = await createLab({ machines: ['a', 'b', 'c'], service });
    }, LAB_DEADLINE_MS);
    afterAll(async () => {
      await lab?.close();
    });
    describeReachability(running);
    describeMembership(running);
    describeOutages(running);
    describeEnforcement(running);
  });
}
