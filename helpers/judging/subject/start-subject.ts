import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TestRunner, onTestFailed } from 'vitest';
import { type Need, readNeeds } from '../../foundations/catalogue/front-matter.ts';
import { workspaceFolder } from './use-workspace.ts';
import { Subject } from './subject.ts';
import type { SubjectOptions } from './subject-types.ts';
import { settings } from '../../foundations/settings.ts';
import { moduleName, repositoryRoot, targetFile } from '../../foundations/catalogue/target.ts';

declare module 'vitest' {
  interface TaskMeta {
    /** What the subjects of this test printed. */
    printed?: string[];
  }
}

/**
 * For a judge: starts the kata's module in a process of its own: the candidate's file, the solution or one submission,
 * whichever this run judges. What it prints is shown when the test that started it fails. Where a call may take longer than
 * 10 s of work on a slow machine, `limitMs` gives it more.
 * @throws SubjectError when it does not compile, does not load, or does not do so within its limit
 */
export async function startSubject<Kata, Kept extends object = Record<string, never>>(
  slug: string,
  options: Pick<SubjectOptions, 'limitMs'> = {},
): Promise<Subject<Kata, Kept>> {
  const subject = options.limitMs === undefined ? takeSpare<Kata, Kept>(slug) : newSubject<Kata, Kept>(slug, options);
  showPrinted(subject);
  await subject.load();
  if (refills) prepareSubjects(slug);
  return subject;
}

/** When the current test fails, shows what the subject has printed; for a subject that an earlier test has started. */
export function showPrinted(subject: { readonly printed: string }): void {
  if (!TestRunner.getCurrentTest()) return;
  onTestFailed(({ task }) => {
    const known = task.meta.printed ?? [];
    if (subject.printed && !known.includes(subject.printed)) task.meta.printed = [...known, subject.printed];
  });
}

const needsBySlug = new Map<string, readonly Need[]>();
/** Processes that wait for a module, so that the next test need not wait for a process. They end with the runner. */
const spares: Subject<unknown, Record<string, unknown>>[] = [];

const spareCount = 2;

/** A judge that has asked for spares gets a new one for each that it takes. */
let refills = false;
/** Whether one of them is on its way. */
let starting = false;

/**
 * For a judge that starts many processes: starts them ahead of the tests that will need them, one after the other, because
 * the judge's own work needs the cores as well. A test file judges one module, so they are of one kind.
 */
function prepareSubjects(slug: string): void {
  refills = true;
  if (!settings().keepsSpares || starting || spares.length >= spareCount) return;
  starting = true;
  const spare = newSubject<unknown, Record<string, unknown>>(slug);
  spare.unref();
  spares.push(spare);
  const ready = spare.warm(needsOf(slug).includes('mysql') ? ['mysql2/promise'] : []);
  void ready
    .catch(() => undefined)
    .then(() => {
      starting = false;
      if (refills) prepareSubjects(slug);
    });
}

/** Ends those that nobody has taken; there will be no more. */
export async function endSpares(): Promise<void> {
  refills = false;
  await Promise.all(spares.splice(0).map((spare) => spare[Symbol.asyncDispose]()));
}

function takeSpare<Kata, Kept extends object>(slug: string): Subject<Kata, Kept> {
  const taken = spares.shift();
  if (taken?.file === targetFile(slug) && taken.alive) return taken as unknown as Subject<Kata, Kept>;
  return newSubject(slug);
}

function newSubject<Kata, Kept extends object>(
  slug: string,
  options: Pick<SubjectOptions, 'limitMs'> = {},
): Subject<Kata, Kept> {
  const needs = needsOf(slug);
  const workspace = workspaceFolder();
  if (workspace === undefined && needs.some((need) => need === 'read-files' || need === 'write-files'))
    throw new Error(`${slug} needs files, so its judge has to call useWorkspace() before it starts a subject.`);
  const file = targetFile(slug);
  const insideFile = join(repositoryRoot, 'tests', slug, 'inside.ts');
  return new Subject(file, {
    needs,
    name: moduleName(slug, file),
    ...(workspace === undefined ? {} : { workspace }),
    ...(existsSync(insideFile) && { insideFile }),
    ...options,
  });
}

/** What the kata's README says, read once. */
function needsOf(slug: string): readonly Need[] {
  const known = needsBySlug.get(slug) ?? readNeeds(slug);
  needsBySlug.set(slug, known);
  return known;
}
