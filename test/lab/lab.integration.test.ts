import { describeLab } from './lab.contract.ts';
import { startStandaloneService } from './standalone-service.ts';

describeLab('the service in one process', startStandaloneService);
