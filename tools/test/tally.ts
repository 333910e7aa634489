/** Counting a test run strictly: what did not run did not pass. */

/** What the count needs to know of vitest's module of tests. */
export interface CountedModule {
  readonly moduleId: string;
  errors(): readonly unknown[];
  readonly children: {
    allTests(): Iterable<{ readonly fullName: string; result(): { readonly state: string } }>;
    allSuites(): Iterable<{ errors(): readonly unknown[] }>;
  };
}

/** The outcome of a run. */
export interface Tally {
  readonly passed: number;
  /** Failed tests, and each error outside of a test: a file that does not load, a hook, an unhandled rejection. */
  readonly failed: number;
  /** Full names of tests that were skipped, left to do, or cut off by an interruption. */
  readonly notRun: readonly string[];
}

/** Counts a run from its modules and the errors that belong to no test. */
export function tally(
  modules: Iterable<CountedModule>,
  unhandledErrors: readonly unknown[],
): Tally {
  let passed = 0;
  let failed = unhandledErrors.length;
  const notRun: string[] = [];
  for (const module of modules) {
    failed += module.errors().length;
    for (const suite of module.children.allSuites()) failed += suite.errors().length;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed += 1;
      else if (state === 'failed') failed += 1;
      else notRun.push(test.fullName);
    }
  }
  return { passed, failed, notRun };
}

/** 0 only if something ran, nothing failed and, unless a name filter was given, nothing was left out. */
export function exitCodeOf(result: Tally, isFilteredByName: boolean): 0 | 1 {
  const isComplete = isFilteredByName || result.notRun.length === 0;
  return result.failed === 0 && result.passed > 0 && isComplete ? 0 : 1;
}

/** The last line of every run. */
export function lastLine(result: Tally): string {
  return `${result.passed} passed, ${result.failed} failed`;
}
