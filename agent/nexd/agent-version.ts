import manifest from '../package.json' with { type: 'json' };

/** Version of the agent and of the command line. */
export const AGENT_VERSION: string = manifest.version;
