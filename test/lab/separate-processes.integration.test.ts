import { describeLab } from './lab.contract.ts';
import { startSeparateServices } from './separate-service.ts';

describeLab('the services in processes of their own', startSeparateServices);
