import { readFileSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { kataSlugs } from '../../foundations/catalogue/catalogue.ts';
import { type CommandRun, runHouseCommand, runProgram } from '../../foundations/command-line/run-house-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { git } from '../../foundations/git/git.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { publish } from './publish.ts';

// The scripts of `score.yml`, run here as a runner would: with bash, in the order of the jobs, with what their `env` says.

interface Job {
  readonly steps: readonly { readonly run?: string; readonly env?: Readonly<Record<string, string>> }[];
}

const { jobs } = parse(readFileSync(join(repositoryRoot, '.github/workflows/score.yml'), 'utf8')) as {
  jobs: Record<'plan' | 'score' | 'report', Job>;
};
const [kata, another] = kataSlugs() as [string, string];
const sha = 'c'.repeat(40);

// The workflow's runners are Linux; bash elsewhere takes other paths.
const hasNoBash = process.platform === 'win32';

describe.skipIf(hasNoBash)('the step that plans', () => {
  test('sets its outputs, each on a line of JSON', async () => {
    const place = await testFolder(onTestFinished);

    const outputs = await plan(place, { REPOSITORY: 'ada/katas', SHA: sha, KATAS: kata });

    expect(outputs).toEqual({
      katas: [kata],
      candidates: [{ name: 'ada', source: `file://${place}/ada/katas#${sha}`, sha }],
      shards: [{ name: 'ada', source: `file://${place}/ada/katas#${sha}`, kata }],
    });
  });

  test('refuses a commit that is not a full SHA, and sets nothing', async () => {
    const place = await testFolder(onTestFinished);

    const { code, stderr } = await run(jobs.plan, 'workflow', place, { REPOSITORY: 'ada/katas', SHA: 'main' });

    expect(code).toBe(2);
    expect(stderr).toBe(`The sha of ada/katas is "main": give the commit's 40 hexadecimal digits.\n`);
    expect(await readFile(join(place, 'output'), 'utf8')).toBe('');
  });
});

describe('the step that publishes', () => {
  test('writes the summary and an annotation for each kata, which no word of a stranger’s can leave', async () => {
    const place = await reportOf({ commit: sha, sentence: 'breaks 3\n::error::forged % done' });

    const { code, stdout } = await runPublish(place, [kata]);

    expect(code).toBe(0);
    expect(stdout).toBe(`::notice title=ada%3A ${kata} 62.5 of 100::breaks 3%0A::error::forged %25 done\n`);
    expect(await readFile(join(place, 'summary'), 'utf8')).toBe('<h1>ada</h1>\n\n# the score\n');
  });

  test('is red when a kata is missing, or when it is not the commit that was asked for', async () => {
    const place = await reportOf({ commit: 'd'.repeat(40), sentence: '' });

    const { code, stdout } = await runPublish(place, [kata, 'another']);

    expect(code).toBe(1);
    expect(stdout).toContain(
      `::error title=ada%3A no whole score::This is the score of commit ${'d'.repeat(40)}; ${sha} was`,
    );
    expect(stdout).toContain('::error title=ada%3A no whole score::another was not scored; its job says why.');
    expect(await readFile(join(place, 'summary'), 'utf8')).toContain('- another was not scored');
  });

  test('has nothing to say without a merged score', async () => {
    const place = await testFolder(onTestFinished);

    await expect(publish(place, { name: 'ada', sha, katas: [kata] })).rejects.toThrow(
      new UserError(`There is no score.json and score.md in ${place}: merge the parts of the score into it first.`),
    );
  });

  async function runPublish(place: string, katas: readonly string[]): Promise<CommandRun> {
    const env = { NAME: 'ada', SHA: sha, KATAS: JSON.stringify(katas), GITHUB_STEP_SUMMARY: join(place, 'summary') };
    await writeFile(env.GITHUB_STEP_SUMMARY, '');
    return await runHouseCommand('for-interviewers/workflows', ['publish', join(place, 'report')], env);
  }
});

test.skipIf(hasNoBash)('from a pushed commit to the summary, script by script', async () => {
  const place = await testFolder(onTestFinished);
  const commit = await pushedCommit(place);
  const { shards, katas } = await plan(place, {
    REPOSITORY: 'ada/katas',
    SHA: commit,
    KATAS: `${kata},${another}`,
  });
  expect(shards).toHaveLength(2);

  // The artifacts: each part goes into a folder of its own.
  for (const { source, kata: own } of shards as { source: string; kata: string }[]) {
    const scored = await run(jobs.score, 'score', place, {
      SOURCE: source,
      KATA: own,
      // This machine may have no Docker engine.
      SANDBOX: 'permission-model',
    });
    expect(scored, scored.stderr).toMatchObject({ code: 0 });
    await mkdir(join(place, 'parts'), { recursive: true });
    await rename(join(place, 'part'), join(place, 'parts', `part.ada.${own}`));
  }
  const merged = await run(jobs.report, 'score', place, {});
  const published = await run(jobs.report, 'workflow', place, {
    NAME: 'ada',
    SHA: commit,
    KATAS: JSON.stringify(katas),
  });

  expect(merged, merged.stderr).toMatchObject({ code: 0 });
  expect(await readdir(join(place, 'report'))).toEqual(
    expect.arrayContaining(['score.json', 'score.md', 'score.html']),
  );
  expect(published).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`::notice title=ada%3A ${kata} 0 of 100::`),
  });
  expect(await readFile(join(place, 'summary'), 'utf8')).toContain('0 of 100');
});

/** Runs the plan's script; its outputs, as the next job's expressions would read them. */
async function plan(place: string, env: Readonly<Record<string, string>>): Promise<Record<string, unknown>> {
  const { code, stderr } = await run(jobs.plan, 'workflow', place, env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const text = await readFile(join(place, 'output'), 'utf8');
  const outputs = [...text.matchAll(/^(\w+)<<(\S+)\n([^]*?)\n\2$/gm)];
  return Object.fromEntries(outputs.map(([, name, , value]) => [name, JSON.parse(value!) as unknown]));
}

/** Runs the one script of a job that has `word` in it, in a folder that looks like a checkout of this repository. */
async function run(job: Job, word: string, place: string, env: Readonly<Record<string, string>>): Promise<CommandRun> {
  const step = job.steps.find(({ run: script }) => script?.includes(`npm run --silent ${word} --`))!;
  expect(Object.keys(env).filter((name) => !(name in (step.env ?? {})))).toEqual([]);
  for (const name of ['package.json', 'helpers', 'katas', 'solutions', 'tests', 'node_modules'])
    await symlink(join(repositoryRoot, name), join(place, name), 'junction').catch(() => undefined);
  for (const name of ['output', 'summary']) await writeFile(join(place, name), '');
  return await runProgram('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', step.run!], place, {
    ...env,
    INIT_CWD: undefined,
    GITHUB_SERVER_URL: `file://${place}`,
    GITHUB_OUTPUT: join(place, 'output'),
    GITHUB_STEP_SUMMARY: join(place, 'summary'),
  });
}

/** A candidate's repository, in which one file is no text and another one is missing: that is scored, and takes no time. */
async function pushedCommit(place: string): Promise<string> {
  const repository = join(place, 'ada/katas');
  await mkdir(repository, { recursive: true });
  await mkdir(join(repository, 'katas', kata), { recursive: true });
  await writeFile(join(repository, 'katas', kata, `${kata}.ts`), Buffer.from([0xff, 0xfe, 0x00]));
  await git(repository, ['init', '--quiet']);
  await git(repository, ['add', '--all']);
  await git(repository, ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.invalid', 'commit', '-qm', 'Sorry']);
  return (await git(repository, ['rev-parse', 'HEAD'])).trim();
}

async function reportOf({ commit, sentence }: { commit: string; sentence: string }): Promise<string> {
  const place = await testFolder(onTestFinished);
  const katas = [{ slug: kata, score: 62.5, diagnosis: { sentence } }];
  await mkdir(join(place, 'report'));
  await writeFile(join(place, 'report/score.json'), JSON.stringify({ total: 62.5, candidate: { commit }, katas }));
  await writeFile(join(place, 'report/score.md'), '# the score');
  return place;
}
