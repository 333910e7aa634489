/** What a scenario is run with. */
export interface ScenarioContext {
  /** Tells people what happens, in a few words. */
  readonly report: (step: string) => void;
  /** Prints a result. */
  readonly print: (text: string) => void;
  /** Aborts when the run shall end: everything is removed. */
  readonly signal: AbortSignal;
  /** Keeps what was built until the signal aborts. */
  readonly isKept: boolean;
}

/** One lab that `npm run lab -- <name>` builds, measures and removes. */
export interface Scenario {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Runs it to its end; whether everything that it shows works. */
  run(context: ScenarioContext): Promise<boolean>;
}
