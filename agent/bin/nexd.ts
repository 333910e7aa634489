#!/usr/bin/env node
import { runProgram } from '../command/run-program.ts';
import { hideRegistrationKeyArgument } from '../enrol/registration-key-source.ts';
import { createNexdProgram } from '../nexd/program.ts';
import { hideProxyArgument } from '../service-access/hide-proxy-argument.ts';

hideRegistrationKeyArgument(process.argv, process.env);
hideProxyArgument(process.argv, process.env);
// A connection that is still tried, to where nothing answers, would keep the process for minutes.
process.exit(await runProgram(createNexdProgram(), process.argv.slice(2)));
