#!/usr/bin/env node
import { runProgram } from '../command/run-program.ts';
import { withTelemetry } from '../command/with-telemetry.ts';
import { createNexctlProgram } from '../nexctl/program.ts';
import { hideProxyArgument } from '../service-access/hide-proxy-argument.ts';

hideProxyArgument(process.argv, process.env);
const run = () => runProgram(createNexctlProgram(), process.argv.slice(2));
// A connection that is still tried, to where nothing answers, would keep the process for minutes.
process.exit(await withTelemetry('nexctl', run));
