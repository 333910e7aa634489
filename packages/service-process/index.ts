export {
  databaseConnection,
  databaseSettings,
  internalServerName,
  natsSettings,
  processSettings,
  readText,
} from './process-settings.ts';
export type { ProcessSettings } from './process-settings.ts';
export { openProcessBus } from './process-bus.ts';
export type { ProcessBus } from './process-bus.ts';
export { runService, serviceVersion } from './run-service.ts';
export type { ServiceFrame, ServiceProcess } from './run-service.ts';
export { explainFault, healthPart, internalServerPart, logCalls } from './serve-modules.ts';
export type { InternalServerOptions } from './serve-modules.ts';
export type { ServiceModule } from './service-module.ts';
