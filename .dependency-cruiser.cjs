/**
 * Who may import whom. Each rule says why it exists; docs/architecture.md draws the same picture.
 *
 * Imports of another workspace are written by its name (`@nexodus/netip`) and arrive, through its package.json, at its
 * index.ts or at another file it exports: that is how a rule sees them.
 */

const { existsSync, readdirSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { Visitor } = require('@swc/core/Visitor');

/** Every workspace that others may import, as a group of a regular expression. */
const WORKSPACE = '^(packages/[^/]+|services/[^/]+|agent)/';

/** The files that workspaces show to others: what the exports of their package.json name. */
const PUBLIC_FILES = ['packages', 'services', '.']
  .flatMap((folder) => readdirSync(join(__dirname, folder)).map((name) => join(folder, name)))
  .filter((workspace) => /^(packages|services)\/|^agent$/.test(workspace))
  .filter((workspace) => existsSync(join(__dirname, workspace, 'package.json')))
  .flatMap((workspace) => {
    const { exports = {} } = JSON.parse(
      readFileSync(join(__dirname, workspace, 'package.json'), 'utf8'),
    );
    return Object.values(exports).map((file) => join(workspace, String(file)));
  })
  .map((file) => `^${file.replaceAll('.', '\\.').replaceAll('*', '[^/]+')}$`);

/** Packages that are calculation only: a core may build on them. */
const PURE_PACKAGES = [
  'contracts',
  'netip',
  'network-map',
  'socket-address',
  'stun-responder',
  'stun-codec',
  'derp',
  'relay-registration',
  'probe',
  'backoff',
  'wireguard',
  'device-identity',
];

const TESTS = '(\\.(test|contract|fixture)\\.ts$|/testing(\\.ts$|/))';

// The visitor by which dependency-cruiser reads swc's syntax trees stops at `using`, which is newer than it.
const { visitStatement } = Visitor.prototype;
Visitor.prototype.visitStatement = function visitStatementWithUsing(statement) {
  if (statement.type !== 'UsingDeclaration') return visitStatement.call(this, statement);
  this.visitVariableDeclarators(statement.decls);
  return statement;
};

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment:
        'Files in a circle can only be understood, tested and moved together, and load in an order nobody chose.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'packages-below-everything',
      comment:
        'A package is one idea that services and the agent build on; if it knew one of them it could serve only that one.',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^(services|agent|test|tools|bench)/' },
    },
    {
      name: 'services-apart',
      comment:
        'Services meet over the contracts in proto/ only, or they could not run, fail and be released apart. Only standalone puts them together.',
      severity: 'error',
      from: { path: '^services/([^/]+)/', pathNot: '^services/standalone/' },
      to: { path: '^services/([^/]+)/', pathNot: '^services/$1/' },
    },
    {
      name: 'services-without-agent',
      comment:
        'The agent runs on machines of others and is released apart from the services; they share contracts, not code.',
      severity: 'error',
      from: { path: '^services/' },
      to: { path: '^(agent|test|tools|bench)/' },
    },
    {
      name: 'agent-on-packages-only',
      comment: 'What runs on the machines of others must not carry code of the control plane.',
      severity: 'error',
      from: { path: '^agent/' },
      to: { path: '^(services|test|tools|bench)/' },
    },
    {
      name: 'through-the-front-door',
      comment:
        'What a workspace does not export it may change at will; whoever reaches past its index takes that away.',
      severity: 'error',
      from: { path: `^(packages/[^/]+|services/[^/]+|agent|test|tools|bench)/` },
      to: { path: WORKSPACE, pathNot: ['^$1/', '/node_modules/', ...PUBLIC_FILES] },
    },
    {
      name: 'testing-only-in-tests',
      comment:
        'Test doubles and contract suites bring vitest along and promise nothing in production.',
      severity: 'error',
      from: { path: '^(packages|services|agent)/', pathNot: TESTS },
      to: {
        path: '(^(packages|services|agent)/.*/testing(\\.ts$|/)|\\.(test|contract|fixture)\\.ts$)',
      },
    },
    {
      name: 'core-on-pure-packages',
      comment:
        'A core is calculation: no clock, no timer, no input or output, not even through a package. Then a test can play any timeline and any loss.',
      severity: 'error',
      from: { path: '^(packages/[^/]+|services/[^/]+|agent)/.*core/', pathNot: TESTS },
      to: {
        path: '^packages/',
        pathNot: [`^packages/(${PURE_PACKAGES.join('|')})/`, '^$1/'],
      },
    },
    {
      name: 'core-without-platform',
      comment:
        'A core reaches no Node module, not through any file it imports either; node:crypto where cryptography is its subject.',
      severity: 'error',
      from: { path: '(^|/)core/', pathNot: TESTS },
      to: {
        path: '^(node:)?(child_process|dgram|dns|fs|http|http2|https|net|os|process|readline|stream|timers|tls|tty|worker_threads)(/|$)',
        reachable: true,
      },
    },
    {
      name: 'generated-behind-contracts',
      comment:
        'Generated files move when proto/ does; packages/contracts decides what of them has a name.',
      severity: 'error',
      from: { pathNot: '^packages/contracts/' },
      to: { path: '^packages/contracts/gen/' },
    },
    {
      name: 'nothing-unresolved',
      comment: 'An import that does not resolve here fails at run time on a fresh machine.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'nothing-undeclared',
      comment:
        'A package used without being in the own package.json works by luck of hoisting and is missing in the image.',
      severity: 'error',
      from: { path: '^(packages|services|agent)/', pathNot: TESTS },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^packages/contracts/gen/'] },
    exclude: { path: ['(^|/)\\.cache/', '(^|/)\\.nexodus/'] },
    tsPreCompilationDeps: true,
    // The TypeScript compiler of this repository is native and offers no parser to programs in JavaScript.
    parser: 'swc',
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.mjs', '.js', '.cjs', '.json', '.node'],
    },
    skipAnalysisNotInRules: true,
  },
};
