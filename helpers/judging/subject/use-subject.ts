import { afterAll, afterEach } from 'vitest';
import { showPrinted, startSubject } from './start-subject.ts';
import type { Subject } from './subject.ts';
import type { SubjectOptions } from './subject-types.ts';

/** A judge's processes, all of them with the same module. */
export interface SubjectsInUse<Kata, Kept extends object> {
  /** The process that serves from promise to promise for as long as it keeps them. */
  running(): Promise<Subject<Kata, Kept>>;
  /** Ends it, so that the next caller gets a new process without leftover work. */
  end(): Promise<void>;
  /** Work that takes long: done once, in a process of its own, beside the promises that come before it. */
  aside<Result>(
    work: (subject: Subject<Kata, Kept>) => Promise<Result>,
    options?: Pick<SubjectOptions, 'limitMs'>,
  ): Aside<Result>;
}

/** Work that is done aside, once. */
interface Aside<Result> {
  /** Begins it, unless it has begun. */
  begin(): void;
  /** What came of it; the tests that ask for it show what its process has printed. */
  done(): Promise<Result>;
}

/**
 * For a judge, at the top of its file: one process for all promises, so that a run has few to start. After a promise that is
 * broken the next one gets a new process, so that none pays for another. `furnish` is done in each new one first.
 */
export function useSubject<Kata, Kept extends object = Record<string, never>>(
  slug: string,
  furnish: (subject: Subject<Kata, Kept>) => Promise<unknown> = () => Promise.resolve(),
): SubjectsInUse<Kata, Kept> {
  let known: Subject<Kata, Kept> | undefined;
  const end = async () => await known?.[Symbol.asyncDispose]();
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') await end();
  });
  afterAll(end);
  return {
    end,
    async running() {
      if (!known?.alive) {
        known = await startSubject<Kata, Kept>(slug);
        await furnish(known);
      }
      showPrinted(known);
      return known;
    },
    aside(work, options) {
      let own: Subject<Kata, Kept> | undefined;
      const start = async () => {
        await using subject = (own = await startSubject<Kata, Kept>(slug, options));
        await furnish(subject);
        return await work(subject);
      };
      let working: ReturnType<typeof start> | undefined;
      const begin = () => (working ??= start());
      return {
        begin: () => void begin().catch(() => undefined),
        async done() {
          try {
            return await begin();
          } finally {
            if (own) showPrinted(own);
          }
        },
      };
    },
  };
}
