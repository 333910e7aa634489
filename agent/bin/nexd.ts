#!/usr/bin/env node
import { runProgram } from '../command/run-program.ts';
import { hideRegistrationKeyArgument } from '../enrol/registration-key-source.ts';
import { createNexdProgram } from '../nexd/program.ts';
import { hideProxyArgument } from '../service-access/hide-proxy-argument.ts';

hideRegistrationKeyArgument(process.argv, process.env);
hideProxyArgument(process.argv, process.env);
process.exitCode = await runProgram(createNexdProgram(), process.argv.slice(2));
