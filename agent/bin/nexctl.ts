#!/usr/bin/env node
import { runProgram } from '../command/run-program.ts';
import { withTelemetry } from '../command/with-telemetry.ts';
import { createNexctlProgram } from '../nexctl/program.ts';
import { hideProxyArgument } from '../service-access/hide-proxy-argument.ts';

hideProxyArgument(process.argv, process.env);
const run = () => runProgram(createNexctlProgram(), process.argv.slice(2));
process.exitCode = await withTelemetry('nexctl', run);
