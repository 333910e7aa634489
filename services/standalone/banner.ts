import { exampleAddress } from './listen-address.ts';
import type { StandaloneFacts } from './standalone.ts';

/** What is said once the service is ready. */
export function banner(facts: StandaloneFacts): string {
  const lines = [
    '',
    'Nexodus is ready.',
    '',
    `  Service     ${facts.serviceUrl}`,
    `  Console     ${facts.consoleUrl}`,
    ...demoUserLines(facts),
    ...credentialsLines(facts),
    `  Metrics     ${facts.metricsUrl}`,
    '',
    ...joinLines(facts),
    '',
    ...opennessLines(facts),
    'Ctrl-C stops it.',
    '',
  ];
  return lines.join('\n');
}

function demoUserLines({ demoUser }: StandaloneFacts): string[] {
  if (demoUser === undefined) return [];
  const { email, password } = demoUser;
  const user = `  Demo user   ${email}`;
  switch (password.kind) {
    case 'new':
      return [user, `  Password    ${password.text}   (shown this once)`];
    case 'file':
      return [user, `  Password    in ${password.path}`];
    case 'shown':
      return [
        user,
        '  Password    as shown at the first start; npm start -- --reset-demo-password makes a new one',
      ];
  }
}

function credentialsLines({ credentialsPath, isBootstrapEnabled }: StandaloneFacts): string[] {
  if (!isBootstrapEnabled || credentialsPath === undefined) return [];
  return [`  Scripts     npx nexctl --credentials ${quote(credentialsPath)} ...`];
}

function joinLines({ serviceUrl, caFingerprint, joinKey }: StandaloneFacts): string[] {
  const command = `npx nexd up --service-url ${serviceUrl} --ca-sha256 ${caFingerprint}`;
  if (joinKey === undefined) {
    return ['To join a machine, as root (it asks you to log in):', '', `  ${command}`];
  }
  const title = 'To join one machine within the hour, as root:';
  return joinKey.kind === 'text'
    ? [title, '', `  NEXD_REG_KEY=${joinKey.text} ${command}`]
    : [title, '', `  ${command} --reg-key-file ${quote(joinKey.path)}`];
}

function opennessLines(facts: StandaloneFacts): string[] {
  if (!facts.isOpenToOthers) {
    const address = `${exampleAddress()}:${new URL(facts.serviceUrl).port || '443'}`;
    return [
      'Only this machine can reach it. For others, start it with an address that they reach:',
      '',
      `  NEXODUS_API_LISTEN=${address} npm start`,
      '',
    ];
  }
  if (!facts.isBootstrapEnabled) return [];
  return [
    'WARNING: others can reach this service, and its bootstrap account is still enabled. Once you have accounts of your own,',
    `disable it: npx nexctl --credentials ${quote(facts.credentialsPath ?? 'FILE')} admin bootstrap disable`,
    '',
  ];
}

/** A word as a POSIX shell reads it. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
