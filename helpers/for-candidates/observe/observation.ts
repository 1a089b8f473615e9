import type { Subject } from '../../judging/subject/subject.ts';

/** One thing that a person can do to the process that is watched. */
export interface Action {
  /** One letter or digit; g, w, r and q are taken. */
  readonly key: string;
  readonly label: string;
  run(): Promise<unknown>;
}

/** A kata's module at work: what to show of it beside the figures of its process, and what can be done to it. */
export interface Observed {
  readonly actions: readonly Action[];
  /** Keys in the order in which they show the matter best, for where nobody can press any. */
  readonly script: readonly string[];
  figures(): Promise<Readonly<Record<string, number>>>;
  /** Lets go of what the observer itself holds, its connections for example; the process is ended elsewhere. */
  end(): Promise<void>;
}

/** What `tests/<slug>/observe.ts` exports as `observe`: sets the module to work in its process. */
export type Observe = (subject: Subject<never, never>) => Promise<Observed>;
