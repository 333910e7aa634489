/**
 * Stands for vitest inside a guest, where vitest itself would be too heavy: contract suites, which are plain tests with
 * plain expectations, run by Node's own runner and an `expect` of the same vocabulary. run-in-guest.ts puts it in place
 * when it bundles, so no import names it.
 */
import { expect } from 'expect';
import { afterEach, beforeEach, describe, test } from 'node:test';

/** @public */
export { afterEach, beforeEach, describe, expect, test };
