import { createVitest } from 'vitest/node';
import { availableParallelism } from 'node:os';
import type { ServerAddress } from '../mysql/test-database.ts';
import { repositoryRoot } from '../subject/target.ts';
import { type Verdict, verdictOf } from '../verdict/verdict.ts';
import type { Submission } from './submissions.ts';

/**
 * Runs the judges on the submissions, side by side: one Vitest, a project for each submission, as many workers as
 * there are servers. A worker has a server to itself, since named locks and the server's counters are one for all.
 */
export async function judge(
  submissions: readonly Submission[],
  mysqlServers: ServerAddress[],
  onVerdict: (submission: Submission, verdict: Verdict) => void,
): Promise<void> {
  const byName = new Map(submissions.map((submission) => [projectName(submission), submission]));
  const vitest = await createVitest(
    'test',
    {
      config: false,
      root: repositoryRoot,
      watch: false,
      maxWorkers: mysqlServers.length || availableParallelism(),
      reporters: [
        {
          onTestModuleEnd(module) {
            onVerdict(byName.get(module.project.name)!, verdictOf(module));
          },
        },
      ],
      projects: [...byName].map(([name, { slug, target }]) => ({
        test: {
          name,
          root: repositoryRoot,
          include: [`tests/${slug}/${slug}.test.ts`],
          env: { KATA_TARGET: target, KATA_SPARES: '1', KATA_EXPLAIN: 'none' },
          provide: { mysqlServers },
          pool: 'threads' as const,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          chaiConfig: { truncateThreshold: 400 },
        },
      })),
    },
    { logLevel: 'error' },
  );
  try {
    await vitest.start();
  } finally {
    await vitest.close();
  }
}

function projectName({ slug, name }: Submission): string {
  return `${slug} ${name}`;
}
