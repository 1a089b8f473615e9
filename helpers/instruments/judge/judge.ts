import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test as base } from 'vitest';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import type { Subject } from '../../judging/subject/subject.ts';
import type { Inside, Run } from '../../judging/subject/subject-types.ts';
import { type FreshOptions, SubjectsOfFile } from '../../judging/subject/subjects-of-file.ts';
import { useTestDatabase } from '../mysql/use-test-database.ts';

export type { Inside };

/** How a judge wants its processes. */
export interface JudgeOptions {
  /** Called in each new process before anything else, for example to open a server. A function of the judge's `inside.ts`. */
  readonly furnish?: Run<never, undefined, unknown>;
  /** How many processes are kept ready for tests that start one of their own; 0 unless told. */
  readonly spares?: number;
  /** How long each call of a process may take, in ms; 10,000 unless told. See `SubjectOptions.limitMs`. */
  readonly limitMs?: number;
}

/**
 * The front door of a judge: a Vitest `test` whose fixtures are what a judge works with. Each is made when a test of the file
 * first names it, and goes at the end of the file.
 *
 * - `subject`: the module in a process that serves from promise to promise; after a broken promise the next one gets a new process.
 * - `fresh(options)`: the module in a process of this test's own.
 * - `workspace`: an empty folder, the only one that the subject may use; only as far as the README's `needs` say so.
 * - `database`: a database and an account of the test file's own, with the tables of `katas/<slug>/schema.sql`.
 *
 * What runs in the subject's process are the functions that `tests/<slug>/inside.ts` exports; see `Subject.run`.
 */
export function judge<Kata>(slug: string, { furnish, spares = 0, limitMs }: JudgeOptions = {}) {
  const insideFile = join(repositoryRoot, 'tests', slug, 'inside.ts');
  return base
    .extend('workspace', { scope: 'file' }, async ({}, { onCleanup }) => await testFolder(onCleanup))
    .extend('database', { scope: 'file' }, async ({}, { onCleanup }) => await useTestDatabase(slug, onCleanup))
    .extend('subjects', { scope: 'file' }, ({ workspace }, { onCleanup }) => {
      const subjects = new SubjectsOfFile<Kata>(slug, {
        workspace,
        spares,
        ...(existsSync(insideFile) && { insideFile }),
        ...(furnish && { furnish }),
        ...(limitMs !== undefined && { limitMs }),
      });
      onCleanup(() => subjects[Symbol.asyncDispose]());
      return subjects;
    })
    .extend('subject', async ({ subjects, task }, { onCleanup }): Promise<Subject<Kata>> => {
      const subject = await subjects.running();
      onCleanup(async () => {
        if (task.result?.state === 'fail') await subjects.end();
      });
      return subject;
    })
    .extend('fresh', ({ subjects }, { onCleanup }) => {
      return async (options?: FreshOptions): Promise<Subject<Kata>> => {
        const subject = await subjects.fresh(options);
        onCleanup(() => subject[Symbol.asyncDispose]());
        return subject;
      };
    });
}
