import { describe, expect, test } from 'vitest';
import { exitCodeOf, lastLine, tally, type CountedModule } from './tally.ts';

function moduleWith(states: readonly string[], moduleErrors = 0, suiteErrors = 0): CountedModule {
  return {
    moduleId: 'x.test.ts',
    errors: () => Array.from({ length: moduleErrors }, () => new Error('module')),
    children: {
      allTests: () =>
        states.map((state) => ({ fullName: `a ${state} test`, result: () => ({ state }) })),
      allSuites: () => [
        { errors: () => Array.from({ length: suiteErrors }, () => new Error('suite')) },
      ],
    },
  };
}

describe('the tally of a run', () => {
  test.each([
    {
      name: 'all passed',
      modules: [moduleWith(['passed', 'passed'])],
      unhandled: 0,
      line: '2 passed, 0 failed',
      code: 0,
    },
    {
      name: 'one failed',
      modules: [moduleWith(['passed', 'failed'])],
      unhandled: 0,
      line: '1 passed, 1 failed',
      code: 1,
    },
    {
      name: 'a file that does not load',
      modules: [moduleWith([], 1)],
      unhandled: 0,
      line: '0 passed, 1 failed',
      code: 1,
    },
    {
      name: 'a failing hook',
      modules: [moduleWith(['passed'], 0, 1)],
      unhandled: 0,
      line: '1 passed, 1 failed',
      code: 1,
    },
    {
      name: 'an unhandled rejection',
      modules: [moduleWith(['passed'])],
      unhandled: 1,
      line: '1 passed, 1 failed',
      code: 1,
    },
    {
      name: 'a skipped test',
      modules: [moduleWith(['passed', 'skipped'])],
      unhandled: 0,
      line: '1 passed, 0 failed',
      code: 1,
    },
    { name: 'no test at all', modules: [], unhandled: 0, line: '0 passed, 0 failed', code: 1 },
  ])('counts $name', ({ modules, unhandled, line, code }) => {
    const result = tally(
      modules,
      Array.from({ length: unhandled }, () => new Error('unhandled')),
    );
    expect(lastLine(result)).toBe(line);
    expect(exitCodeOf(result, false)).toBe(code);
  });

  test('does not count tests as missing that a name filter left out', () => {
    expect(exitCodeOf(tally([moduleWith(['passed', 'skipped'])], []), true)).toBe(0);
  });
});
