/**
 * Three groups of tests, one after the other, because a small machine that runs a virtual machine or a network of
 * namespaces beside them makes deadlines meaningless:
 * unit tests in parallel; then tests with real servers, two files at a time; then those that take the whole machine
 * (agents, namespaces, virtual machines), one file at a time.
 */
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

const UNIT_TIMEOUT_MS = 20_000;
const INTEGRATION_TIMEOUT_MS = 120_000;
const INTEGRATION = '**/*.integration.test.ts';
const WHOLE_MACHINE = ['agent', 'test', 'bench'].map((folder) => `${folder}/${INTEGRATION}`);
const exclude = [...configDefaults.exclude, '**/.cache/**', '**/.nexodus/**', '**/gen/**'];

const integration = {
  testTimeout: INTEGRATION_TIMEOUT_MS,
  hookTimeout: INTEGRATION_TIMEOUT_MS,
  teardownTimeout: UNIT_TIMEOUT_MS,
  globalSetup: ['tools/test/debian-global-setup.ts'],
  sequence: { hooks: 'stack' as const },
};

export default defineConfig({
  test: {
    passWithNoTests: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...exclude, INTEGRATION],
          testTimeout: UNIT_TIMEOUT_MS,
          hookTimeout: UNIT_TIMEOUT_MS,
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          ...integration,
          name: 'integration',
          include: [INTEGRATION],
          exclude: [...exclude, ...WHOLE_MACHINE],
          maxWorkers: 2,
          sequence: { ...integration.sequence, groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          ...integration,
          name: 'machine',
          include: WHOLE_MACHINE,
          exclude,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { ...integration.sequence, groupOrder: 2 },
        },
      },
    ],
  },
});
