/**
 * What can be set for a run. A user sets it by environment variables, which are read here and nowhere else. A command sets the
 * rest, and hands all of it to Vitest's workers by `provide`.
 */
export interface Settings {
  /** `KATA_TARGET`: which file is judged; see `targetFile`. */
  readonly target: string;
  /** `KATA_EXPLAIN`: which broken promises are explained, where that takes time. `none` is for runs that nobody reads. */
  readonly explain: 'first' | 'all' | 'none';
  /** `KATA_SEED`: what random examples are drawn by; see `chosenSeed`. */
  readonly seed: string | undefined;
  /** `KATA_SANDBOX`: what holds the module's process; see `chosenSandbox`. */
  readonly sandbox: string | undefined;
  /** `KATA_MYSQL`: where the MySQL server comes from; see `chooseSource`. */
  readonly mysql: string | undefined;
  /** `KATA_CACHE`: the folder that outlives a run; see `cacheFolder`. */
  readonly cache: string | undefined;
  /** `KATA_PROC=off`: does as if there were no /proc, as on macOS. */
  readonly proc: boolean;
  /** Whether processes are started ahead of the tests that need them. */
  readonly keepsSpares: boolean;
  /** The numbers of the only promises that are judged; all of them unless told. */
  readonly promises: readonly number[] | undefined;
  /** How long the judge of one kata may take. */
  readonly limitSeconds: number | undefined;
}

/** The settings of an environment; what can be wrong in them is checked where it is used. */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const explain = env['KATA_EXPLAIN'];
  return {
    target: env['KATA_TARGET'] ?? 'katas',
    explain: explain === 'all' || explain === 'none' ? explain : 'first',
    seed: env['KATA_SEED'],
    sandbox: env['KATA_SANDBOX'],
    mysql: env['KATA_MYSQL'],
    cache: env['KATA_CACHE'],
    proc: env['KATA_PROC'] !== 'off',
    keepsSpares: true,
    promises: undefined,
    limitSeconds: undefined,
  };
}

/** Takes out of the environment which process started the launcher; programs that this one starts must not inherit it. */
export function takeLauncherParent(env: NodeJS.ProcessEnv = process.env): number | undefined {
  const parent = env['KATA_PARENT'];
  delete env['KATA_PARENT'];
  return parent === undefined ? undefined : Number(parent);
}

let adopted: Settings | undefined;

/** The settings of this run. */
export function settings(): Settings {
  return adopted ?? readSettings();
}

/** From now on these are the settings in this thread: they came from the command that started it. */
export function adoptSettings(given: Settings): void {
  adopted = given;
}
