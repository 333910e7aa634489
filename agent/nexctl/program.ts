import { Command } from 'commander';
import { addCompletion } from '../command/completion.ts';
import { AGENT_VERSION } from '../nexd/agent-version.ts';
import { addGlobalOptions } from './command-flags.ts';
import { addBootstrapCommands } from './commands/bootstrap-commands.ts';
import { addDeviceCommands } from './commands/device-commands.ts';
import { addLoginCommands } from './commands/login-commands.ts';
import { addNexdCommands } from './commands/nexd-commands.ts';
import { addRegistrationKeyCommands } from './commands/registration-key-commands.ts';
import { addServiceAccountCommands } from './commands/service-account-commands.ts';
import { addVpcCommands } from './commands/vpc-commands.ts';

const EXAMPLES = `
Examples:
  nexctl login --service-url https://nexodus.example:7443 --ca-sha256 PIN
  nexctl vpc list
  nexctl reg-key create --max-uses 20 --ttl 1h
  nexctl --credentials FILE device list --output json
  nexctl nexd peers

Exit codes: docs/operations/exit-codes.md.`;

/** The command line of the service. */
export function createNexctlProgram(): Command {
  const program = new Command('nexctl')
    .description('Works with a Nexodus service, and with the daemon of this machine.')
    .version(AGENT_VERSION)
    .addHelpText('after', EXAMPLES);
  addGlobalOptions(program);
  addLoginCommands(program);
  addVpcCommands(program);
  addDeviceCommands(program);
  addRegistrationKeyCommands(program);
  addServiceAccountCommands(program);
  addBootstrapCommands(program);
  addNexdCommands(program);
  addCompletion(program);
  return program;
}
