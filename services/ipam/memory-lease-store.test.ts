import { describeLeaseStore } from './lease-store.contract.ts';
import { createMemoryLeaseStore } from './memory-lease-store.ts';

describeLeaseStore('leases in memory', () => Promise.resolve(createMemoryLeaseStore()));
