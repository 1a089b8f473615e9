import type { Need } from '../../foundations/catalogue/front-matter.ts';

export interface SubjectOptions {
  /** What the module may use beyond its own file and the installed packages; by default what the kata's README says. */
  readonly needs?: readonly Need[];
  /** The path under which the file is loaded, where that is another one; see `moduleName`. */
  readonly name?: string;
  /** The folder that the needs `read-files` and `write-files` are about. */
  readonly workspace?: string;
  /**
   * How long loading, and each call, may take before the process is killed, in ms; default 10,000. It is CPU time of the process
   * where its event loop is blocked, and time in which the runner got to run where it waits.
   */
  readonly limitMs?: number;
  /** How much it may print before the process is killed. Default 16 MiB. */
  readonly outputLimitBytes?: number;
  /** The file whose exports `run` may call in the process. */
  readonly insideFile?: string;
  /**
   * For a judge of the most memory that the process ever held. V8 lets 50 MB of young garbage pile up before it looks, and more when texts
   * of a megabyte are cut into lines. With this it looks earlier, and takes more CPU time.
   */
  readonly collectsEarly?: boolean;
  /** Lets a debugger attach on a free port of 127.0.0.1; where, it prints itself. */
  readonly inspect?: boolean;
}

/** How a process ended, as the operating system says it. */
export interface Exit {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
}

/** What a function given to `evaluate` can use beside the module. */
export interface Tools {
  /** Imports a package, or a module of Node's. */
  load<Module>(name: string): Promise<Module>;
  /**
   * Counts an object now, and once more when it is collected; the figures come with `collect` of the heap instrument. Holds nothing
   * of it. Only where the kata's README names `heap`.
   */
  watch(name: string, object: object): void;
  /** Resolves after that many more turns of the event loop. This and the following use functions saved before the module was loaded. */
  turns(count: number): Promise<void>;
  /** CPU time that the process has used so far, with all its threads, in ms. */
  cpuMs(): number;
  /** How many active timers keep the process alive now. */
  timers(): number;
}

/** What a function that runs in the subject's process is given. */
export interface Inside<Kata, Args = undefined, Kept extends object = Record<string, unknown>> {
  /** The module. */
  readonly kata: Kata;
  /** What the judge sent. Plain data. */
  readonly args: Args;
  /** Stays in the process from one call to the next. */
  readonly kept: Kept;
  readonly tools: Tools;
}

/** A function that runs in the subject's process. What it returns must be plain data. */
export type Run<Kata, Args, Result> = (inside: Inside<Kata, Args, never>) => Result | Promise<Result>;
