import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Copy, DockerfileParser, Entrypoint, Healthcheck, type Instruction } from 'dockerfile-ast';
import { internalServices } from '@nexodus/deploy';
import { describe, expect, test } from 'vitest';
import { readComposeFile } from './compose-file.ts';
import { deployFile, readDeployFile, repository } from './deploy-file.ts';

const file = DockerfileParser.parse(readDeployFile('Dockerfile'));
const instructions = file.getInstructions();
const lastStage = instructions.slice(
  instructions.findLastIndex((one) => one.getKeyword() === 'FROM'),
);

function argumentsOf(instruction: Instruction): string[] {
  return instruction.getArguments().map((argument) => argument.getValue());
}

function inLastStage(keyword: string): string[][] {
  return lastStage.filter((one) => one.getKeyword() === keyword).map(argumentsOf);
}

test('the Dockerfile has three stages, and the last takes only what the second prepared', () => {
  expect(file.getFROMs().map((from) => from.getBuildStage())).toEqual([
    'contracts',
    'production',
    null,
  ]);
  const copies = lastStage.filter((one) => one instanceof Copy);
  expect(copies.map((copy) => copy.getFromFlag()?.getValue())).toEqual(['production']);
});

test('the image brings the Node that the repository pins', () => {
  const { dependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
  const [image] = file.getInitialARGs().map((arg) => arg.getProperty());
  expect(image?.getValue()).toBe(`node:${dependencies.node}-bookworm-slim`);
});

test('what is copied from the repository exists', () => {
  const sources = instructions
    .filter((one) => one instanceof Copy)
    .filter((copy) => copy.getFromFlag() === null)
    .flatMap((copy) => argumentsOf(copy).slice(0, -1));
  expect(sources.length).toBeGreaterThan(5);
  expect(sources.filter((source) => !existsSync(join(repository, source)))).toEqual([]);
});

test('every workspace is there for npm, which reads the package.json of each', () => {
  const { workspaces } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
  const copied = new Set(
    instructions
      .filter((one) => one.getKeyword() === 'COPY')
      .flatMap((copy) => argumentsOf(copy).slice(0, -1)),
  );
  const folders = workspaces.map((workspace: string) => workspace.replace('/*', ''));
  const isCopied = (folder: string) => copied.has(folder) || copied.has(`${folder}/package.json`);
  expect(folders.filter((folder: string) => !isCopied(folder))).toEqual([]);
});

test('the container runs as nobody in particular, and is asked for its health', () => {
  expect(inLastStage('USER')).toEqual([['65532:65532']]);
  const health = lastStage.find((one) => one instanceof Healthcheck);
  expect(health && argumentsOf(health).join(' ')).toContain('http://127.0.0.1:9464/healthz');
});

describe.each([...internalServices])('the image of %s', (service) => {
  test('starts a program that exists, with a configuration that compose mounts', () => {
    const [[folder = ''] = []] = inLastStage('WORKDIR');
    const inside = folder.replace('${SERVICE}', service).replace(/^\/app\//, '');
    const entrypoint = lastStage.find((one) => one instanceof Entrypoint);
    const [program, main = ''] =
      entrypoint?.getJSONStrings().map((text) => JSON.parse(text.getValue())) ?? [];
    expect(program).toBe('node');
    expect(existsSync(join(repository, inside, main))).toBe(true);
    const [, path] =
      inLastStage('CMD')
        .flat()
        .join(' ')
        .match(/"(\/[^"]+)"/) ?? [];
    const { volumes, build } = readComposeFile().services[service]!;
    expect(build?.args).toEqual({ SERVICE: service });
    expect(volumes).toContain(`./config/${service}.yaml:${path}:ro`);
  });
});

test('no secret and no state can reach the builder', () => {
  const ignored = readDeployFile('Dockerfile.dockerignore').split('\n');
  for (const line of ['deploy/.env', 'deploy/state', '.nexodus', '**/*.key', '**/*.pem', '.git'])
    expect(ignored).toContain(line);
  expect(existsSync(deployFile('prepare-database.ts'))).toBe(true);
});
