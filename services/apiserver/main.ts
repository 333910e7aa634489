import { buildApiserver } from './apiserver-process.ts';
import { apiserverProcessSettings } from './apiserver-config.ts';
import { runService } from '@nexodus/service-process';

await runService({ name: 'apiserver', settings: apiserverProcessSettings, build: buildApiserver });
