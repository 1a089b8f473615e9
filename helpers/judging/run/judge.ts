import { BaseSequencer, type TestSpecification, createVitest } from 'vitest/node';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { ServerAddress } from '../../foundations/server-address.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { settings } from '../../foundations/settings.ts';
import { type PromiseVerdict, type Verdict, promiseVerdict, verdictOf } from '../verdict/verdict.ts';
import type { Submission } from '../../foundations/catalogue/submissions.ts';

/** One module for one judge. */
export type Judged = Pick<Submission, 'slug' | 'name' | 'target'> & {
  /** The numbers of the only promises that are judged; all of them unless told. */
  readonly promises?: readonly number[] | undefined;
};

export interface JudgeOptions<Module> {
  /** How long one test may take; by default what a judge is given everywhere, 120,000. */
  readonly promiseLimitMs?: number;
  /** How many judges run side by side; by default one for each server or, without servers, one more than cores. */
  readonly workers?: number;
  /** Whether other modules are judged before or after these; by default when there are several. Nobody reads then why they fail. */
  readonly isOneOfMany?: boolean;
  /** Further files that are loaded before each judge, relative to the repository. */
  readonly setupFiles?: readonly string[];
  /** Hears of each promise as soon as it is judged. */
  readonly onPromise?: (judged: Module, promise: PromiseVerdict) => void;
}

/**
 * Runs the judges on the submissions in their order, side by side: one Vitest, a project for each submission, as many
 * workers as there are servers. A worker has a server to itself, since named locks and the server's counters are one for all.
 */
export async function judge<Module extends Judged>(
  submissions: readonly Module[],
  mysqlServers: ServerAddress[],
  onVerdict: (submission: Module, verdict: Verdict) => void,
  {
    promiseLimitMs = 300_000,
    workers = mysqlServers.length || availableParallelism() + 1,
    isOneOfMany = submissions.length > 1,
    setupFiles = [],
    onPromise,
  }: JudgeOptions<Module> = {},
): Promise<void> {
  const byName = new Map(submissions.map((submission) => [projectName(submission), submission]));
  const names = [...byName.keys()];
  class InTheirOrder extends BaseSequencer {
    override async sort(files: TestSpecification[]) {
      return files.toSorted((one, other) => names.indexOf(one.project.name) - names.indexOf(other.project.name));
    }
  }
  const vitest = await createVitest(
    'test',
    {
      config: false,
      root: repositoryRoot,
      watch: false,
      maxWorkers: workers,
      fsModuleCachePath: join(repositoryRoot, '.cache', 'vitest'),
      sequence: { sequencer: InTheirOrder },
      reporters: [
        {
          onTestCaseResult(test) {
            onPromise?.(byName.get(test.project.name)!, promiseVerdict(test, 0));
          },
          onTestModuleEnd(module) {
            onVerdict(byName.get(module.project.name)!, verdictOf(module));
          },
        },
      ],
    },
    {
      logLevel: 'error',
      // Here, and with nothing that Vite itself would want to know, the projects have one Vite server between them.
      test: {
        projects: [...byName].map(([name, { slug, target, promises }]) => ({
          test: {
            name,
            include: [`tests/${slug}/${slug}.test.ts`],
            setupFiles: [
              'helpers/judging/subject/inside/wake-pool.js',
              'helpers/judging/run/adopt-settings.ts',
              'helpers/judging/run/only-asked.ts',
              'helpers/judging/run/end-of-thread.ts',
              ...setupFiles,
            ],
            provide: {
              mysqlServers,
              // One process too many costs more than the wait for one.
              settings: {
                ...settings(),
                target,
                promises,
                ...(isOneOfMany && { keepsSpares: false, explain: 'none' as const }),
              },
            },
            pool: 'threads' as const,
            testTimeout: promiseLimitMs,
            hookTimeout: promiseLimitMs,
            chaiConfig: { truncateThreshold: 400 },
          },
        })),
      },
    },
  );
  try {
    await vitest.start();
  } finally {
    await vitest.close();
  }
}

function projectName({ slug, name }: Judged): string {
  return `${slug} ${name}`;
}
