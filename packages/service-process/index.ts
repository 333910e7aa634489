export type { ServiceModule } from './service-module.ts';
