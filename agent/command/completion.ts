import { type Command, Argument } from 'commander';

/** A command with what may follow it. */
interface CompletionNode {
  /** Words from the program to the command, such as "nexctl vpc". */
  readonly path: string;
  readonly words: readonly string[];
}

const SHELLS = ['bash', 'zsh', 'fish'] as const;

type Shell = (typeof SHELLS)[number];

const EXAMPLES = `
Examples:
  source <(nexctl completion bash)
  nexctl completion zsh > "\${fpath[1]}/_nexctl"
  nexctl completion fish > ~/.config/fish/completions/nexctl.fish`;

/** Adds the command that prints a completion script made from the program's own commands and options. */
export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('Print a completion script for a shell.')
    .addArgument(new Argument('<shell>', 'shell to complete for').choices(SHELLS))
    .addHelpText('after', EXAMPLES.replaceAll('nexctl', program.name()))
    .action((shell: Shell) => {
      process.stdout.write(completionScript(program, shell));
    });
}

/** The script, which knows the commands and options of the program as they are now. */
function completionScript(program: Command, shell: Shell): string {
  const nodes = collect(program, program.name());
  switch (shell) {
    case 'bash':
      return bashScript(program.name(), nodes);
    case 'zsh':
      return `#compdef ${program.name()}\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(program.name(), nodes)}`;
    case 'fish':
      return fishScript(program.name(), nodes);
  }
}

function collect(command: Command, path: string): CompletionNode[] {
  const options = command.options.flatMap((option) => option.long ?? []);
  const commands = command.commands.map((inner) => inner.name());
  const inner = command.commands.flatMap((child) => collect(child, `${path} ${child.name()}`));
  return [{ path, words: [...commands, ...options, '--help'] }, ...inner];
}

/** The longest known command among the words typed decides what may follow. */
function bashScript(name: string, nodes: readonly CompletionNode[]): string {
  const cases = nodes.map(({ path, words }) => `    "${path}") words="${words.join(' ')}" ;;`);
  return `_${name}_complete() {
  local path="${name}" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " ${nodes.map(({ path }) => path.replaceAll(' ', '/')).join(' ')} " in
      *" \${path// //}/$word "*) path="$path $word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _${name}_complete ${name}
`;
}

function fishScript(name: string, nodes: readonly CompletionNode[]): string {
  const lines = nodes.map(({ path, words }) => {
    const [, ...commands] = path.split(' ');
    const condition = `test "(commandline -opc | string match -rv '^-' | string join ' ')" = "${[name, ...commands].join(' ')}"`;
    return `complete -c ${name} -f -n '${condition.replaceAll("'", String.raw`\'`)}' -a "${words.join(' ')}"`;
  });
  return `${lines.join('\n')}\n`;
}
