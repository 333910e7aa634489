/**
 * Capability number of this agent: one rising number for the whole agent protocol. Every change of behaviour that the
 * other side can see raises it and gets a dated line in docs/protocol/agent.md.
 */
export const CAPABILITY = 1;
