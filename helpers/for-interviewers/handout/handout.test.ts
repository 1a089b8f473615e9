import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { kataSlugs } from '../../foundations/catalogue/catalogue.ts';
import { type CommandRun, runHouseCommand, runProgram } from '../../foundations/command-line/run-house-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { git } from '../../foundations/git/git.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { until } from '../../foundations/waiting/until.ts';
import { checkOutCatalogue } from './check-out-catalogue.ts';
import { fingerprints, historyOf, leaksIn } from './fingerprints.ts';
import { filesBelow, handedFiles } from './handed-files.ts';
import { type HandoutOptions, type Manifest, makeHandout } from './make-handout.ts';
import { readSealedFolder } from '../../instruments/sealed-folder/sealed-folder.ts';

// `npm run handout` in a clone whose owner has solved the kata, for the candidate "Ada", on a machine whose owner's git is
// full of settings. `npm run handout:prove` installs one and runs it.

const slug = 'race-condition';
const place = await testFolder(afterAll);
const clone = join(place, 'clone');
const handout = join(place, 'to', 'ada');
const home = join(place, 'home');
let made: CommandRun;

beforeAll(async () => {
  await cloneAsItIs();
  await symlink(join(repositoryRoot, 'node_modules'), join(clone, 'node_modules'), 'junction');
  await copyFile(join(clone, `solutions/${slug}/${slug}.ts`), join(clone, `katas/${slug}/${slug}.ts`));
  await writeFile(join(clone, `katas/${slug}/draft.ts`), 'export const draft = 1;\n');
  await writeOwnGitSettings();

  made = await make('--katas', slug, '--out', handout, '--candidate', 'Ada');
});

describe('a hand-out', () => {
  test('is made, and its place told', () => {
    expect(made).toEqual({ code: 0, stdout: expect.stringContaining(`${handout}\n${slug} of version `), stderr: '' });
  });

  test('has the kata as it is committed, its judge, and no file that is for others', async () => {
    const files = (await filesBelow(handout)).filter((file) => !file.startsWith('.git/'));

    expect(files.filter((file) => /^(?:katas|tests)\//.test(file))).toEqual([
      `katas/${slug}/README.md`,
      `katas/${slug}/${slug}.ts`,
      `katas/${slug}/schema.sql`,
      `tests/${slug}/inside.ts`,
      `tests/${slug}/${slug}.test.ts`,
      `tests/${slug}/service.ts`,
    ]);
    expect([...new Set(files.map((file) => file.split('/')[0]))]).toEqual([
      '.devcontainer',
      '.gitattributes',
      '.github',
      '.gitignore',
      '.npmrc',
      'CANDIDATE.md',
      'LICENSE',
      'README.md',
      'handout.json',
      'helpers',
      'katas',
      'package-lock.json',
      'package.json',
      'tests',
      'tsconfig.json',
      'vitest.config.ts',
    ]);
    expect(
      files.filter((file) => /helpers\/.*(?:test\.ts$|\/for-(?:interviewers|authors)\/|\/own-node\/)/.test(file)),
    ).toEqual([]);
    expect(files).toEqual(
      expect.arrayContaining(['helpers/judging/subject/inside/host.js', 'helpers/foundations/processes/keeper.js']),
    );
  });

  test('has no line of an answer in any object, and one that had would be found', async () => {
    const catalogue = join(place, 'catalogue');
    await checkOutCatalogue(clone, 'HEAD', catalogue);
    const known = await fingerprints(catalogue);

    expect(known.filter(({ lines }) => lines.length === 0)).toEqual([]);
    expect(leaksIn(await historyOf(handout), known)).toEqual([]);

    const leaky = join(place, 'leaky');
    await git(place, ['clone', '--quiet', '--no-hardlinks', handout, leaky]);
    await copyFile(join(clone, `solutions/${slug}/NOTES.md`), join(leaky, 'hidden.txt'));
    await git(leaky, ['add', 'hidden.txt']);
    await git(leaky, ['reset', '--quiet', '--hard']);
    expect(existsSync(join(leaky, 'hidden.txt'))).toBe(false);
    // Notes of other katas have some of its headings.
    expect(leaksIn(await historyOf(leaky), known)).toContainEqual(
      expect.stringContaining(`A line of solutions/${slug}/NOTES.md is in it`),
    );
  });

  test('is one commit of nobody’s, with no remote, no hook, and nothing of the user’s settings', async () => {
    expect(await git(handout, ['log', '--all', '--format=%an <%ae> %cn %s%n%B%G?'])).toBe(
      'Backend katas <backend-katas@example.invalid> Backend katas Your katas\nYour katas\nN\n',
    );
    expect(await git(handout, ['rev-list', '--all', '--count'])).toBe('1\n');
    expect(await git(handout, ['remote'])).toBe('');
    expect(await git(handout, ['status', '--porcelain'])).toBe('');
    expect(await git(handout, ['branch', '--format=%(refname:short)'])).toBe('main\n');
    expect(existsSync(join(handout, '.git/from-template'))).toBe(false);
    expect(existsSync(join(home, 'hook-was-run'))).toBe(false);
  });

  test('says what it is made of: version, commit, katas, and the hash of each file', async () => {
    const manifest = JSON.parse(await readFile(join(handout, 'handout.json'), 'utf8')) as Manifest;

    const files = (await filesBelow(handout)).filter((file) => !file.startsWith('.git/') && file !== 'handout.json');
    const hashes = await Promise.all(
      files.map(async (file) => [
        file,
        createHash('sha256')
          .update(await readFile(join(handout, file)))
          .digest('hex'),
      ]),
    );
    expect(manifest).toEqual({
      catalogue: { version: '1.0.0', commit: (await git(clone, ['rev-parse', 'HEAD'])).trim() },
      candidate: 'Ada',
      katas: [slug],
      sha256: Object.fromEntries(hashes),
    });
  });

  test('speaks of no command that it lacks', async () => {
    const text = await readFile(join(handout, 'CANDIDATE.md'), 'utf8');

    const { scripts } = JSON.parse(await readFile(join(handout, 'package.json'), 'utf8')) as { scripts: object };
    const named = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name);
    expect(named).toContain('watch');
    expect(named).not.toContain('observe');
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named));
  });

  test('points to no file that is not there', async () => {
    const files = (await filesBelow(handout)).filter((file) => !/^\.git\/|package-lock|handout\.json/.test(file));
    const missing: string[] = [];
    for (const file of files) {
      const text = await readFile(join(handout, file), 'utf8');
      const paths =
        text.match(/\b(?:(?:katas|tests|helpers|solutions)\/[\w-][\w./-]*\w|[A-Z]{3,}\.md|INTERVIEWER|NOTES)/g) ?? [];
      for (const path of paths) {
        const places = [handout, join(handout, file, '..')].map((from) => join(from, path));
        if (!places.some(existsSync)) missing.push(`${file}: ${path}`);
      }
    }

    expect(missing).toEqual([]);
  });

  test('has in its README the name, the minutes, the commands, and what to send back', async () => {
    const text = await readFile(join(handout, 'README.md'), 'utf8');

    for (const part of ['for Ada', '30 minutes', 'npm ci', 'npm test', `katas/${slug}/${slug}.ts`, 'send back'])
      expect(text).toContain(part);
  });

  test('offers no solution to judge, and its types hold together', async () => {
    await symlink(join(repositoryRoot, 'node_modules'), join(handout, 'node_modules'), 'junction');
    onTestFinished(() => rm(join(handout, 'node_modules')));

    const [refused, types] = await Promise.all([
      runHouseCommand('for-candidates/test', ['--solution'], {}, handout),
      runProgram(process.execPath, [join(repositoryRoot, 'node_modules/typescript/bin/tsc'), '--noEmit'], handout),
    ]);

    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("unknown option '--solution'") });
    expect(types).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  test('has a lock file of its own packages only, that fits its package.json and names no registry', async () => {
    const lock = await readFile(join(handout, 'package-lock.json'), 'utf8');

    const { packages } = JSON.parse(lock) as { packages: Record<string, object> };
    const { name, version, scripts, dependencies, devDependencies } = JSON.parse(
      await readFile(join(handout, 'package.json'), 'utf8'),
    );
    expect(lock).not.toMatch(/"resolved"|https?:\/\/[^"]*\.tgz/);
    expect(packages['']).toMatchObject({ name, version, dependencies, devDependencies });
    expect(devDependencies).toHaveProperty('typescript');
    expect(scripts.check).toBe('tsc --noEmit');
    for (const path of Object.keys({ ...dependencies, ...devDependencies }))
      expect(Object.keys(packages)).toContain(`node_modules/${path}`);
    expect(Object.keys(packages)).not.toEqual(expect.arrayContaining(['node_modules/knip']));
    expect(Object.keys(packages)).not.toEqual(expect.arrayContaining(['node_modules/memlab']));
  });
});

test('what a judge keeps back is in a hand-out in sealed form, and in no object of it in clear', async () => {
  const out = join(place, 'sealed');
  const folder = 'tests/testing-and-mocking/kept-back';
  const kept = await readSealedFolder(join(clone, folder));
  const sentences = [...kept.get('wrong-modules.yaml')!.matchAll(/does: (.+)/g)].map(([, sentence = '']) => sentence);

  await makeHandout({ katas: ['testing-and-mocking'], out, root: clone });

  const files = await filesBelow(out, 'tests/testing-and-mocking');
  expect(files.filter((file) => file.includes('kept-back'))).toEqual([`${folder}.sealed`]);
  expect(await readSealedFolder(join(out, folder))).toEqual(kept);
  const history = await historyOf(out);
  // The twelve, and the one that makes more requests.
  expect(sentences).toHaveLength(13);
  expect(sentences.filter((sentence) => history.includes(sentence))).toEqual([]);
});

test.for(kataSlugs())('%s alone needs no file that must stay here', async (only) => {
  const { files, packages } = await handedFiles(repositoryRoot, [only]);

  expect(files).toContain(`tests/${only}/${only}.test.ts`);
  expect(packages).toContain('vitest');
});

describe('what cannot be made leaves nothing', () => {
  test.for<[fault: string, args: readonly string[], sentence: RegExp]>([
    ['no kata', ['--out', 'new'], /required option '--katas <a,b>' not specified/],
    ['a folder that is in use', ['--katas', slug, '--out', 'home'], /home is there and is not an empty folder/],
    ['a name of two lines', ['--katas', slug, '--out', 'new', '--candidate', 'A\n# B'], /--candidate is a name/],
  ])('%s: one sentence, exit code 2', async ([, args, sentence]) => {
    const before = await readdir(place);

    const { code, stdout, stderr } = await make(...args);

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(await readdir(place)).toEqual(before);
  });

  test('an unknown kata, a file in its place, a copy that is no clone', async () => {
    const copy = join(place, 'copy');
    await mkdir(copy);
    const before = await readdir(place);
    const refusal = async (options: Partial<HandoutOptions>) =>
      await makeHandout({ katas: [slug], out: join(place, 'new'), root: clone, ...options }).catch(
        (error: unknown) => error,
      );

    const refusals = await Promise.all([
      refusal({ katas: [slug, 'rase'] }),
      refusal({ out: join(home, '.gitconfig') }),
      refusal({ root: copy }),
    ]);

    expect(refusals).toEqual([
      expect.objectContaining({ name: 'UserError', message: expect.stringContaining('There is no kata "rase".') }),
      new UserError(
        `${join(home, '.gitconfig')} is there and is not an empty folder: name a new one with --out, or clear this one first.`,
      ),
      new UserError(
        `${copy} is not a git clone with a commit, so nobody could tell which version of the katas this is: clone the repository with git.`,
      ),
    ]);
    expect(await readdir(place)).toEqual(before);
  });

  test.for<NodeJS.Signals>(['SIGINT', 'SIGKILL'])('%s in the middle', async (signal) => {
    const [temporary, target] = [join(place, `tmp-${signal}`), join(place, `at-${signal}`)];
    await Promise.all([mkdir(temporary), mkdir(target)]);
    const child = spawn(
      process.execPath,
      [join(clone, 'helpers/for-interviewers/handout/main.ts'), '--katas', slug, '--out', join(target, 'new')],
      { env: { ...process.env, TMPDIR: temporary, TEMP: temporary }, stdio: 'ignore' },
    );
    onTestFinished(() => void child.kill('SIGKILL'));
    const begun = async () => (await filesBelow(target)).some((file) => file.endsWith('/handout/package.json'));

    const isUnderWay = await until(begun, 30_000);
    child.kill(signal);
    const left = async () => [...(await readdir(temporary)), ...(await readdir(target))];
    await until(async () => (await left()).length === 0, 30_000);

    expect({ isUnderWay, left: await left() }).toEqual({ isUnderWay: true, left: [] });
  });
});

/** Runs the clone's own command, from the folder that all of this lies in. */
async function make(...args: readonly string[]) {
  const env = { HOME: home, XDG_CONFIG_HOME: home, INIT_CWD: place, GIT_DIR: devNull };
  return await runHouseCommand('for-interviewers/handout', args, env, clone);
}

/** A clone whose one commit has what stands in the tree now, so that these tests need no commit first. */
async function cloneAsItIs(): Promise<void> {
  const listed = await git(repositoryRoot, ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  const files = listed.split('\0').filter((file) => file !== '' && existsSync(join(repositoryRoot, file)));
  for (const file of files) await cp(join(repositoryRoot, file), join(clone, file));
  await git(clone, ['init', '--quiet']);
  await git(clone, ['add', '--all']);
  await git(clone, ['-c', 'user.name=Owner', '-c', 'user.email=owner@example.invalid', 'commit', '-qm', 'As it is']);
}

/** A user's git with a hook, a template, signed commits, and no name. */
async function writeOwnGitSettings(): Promise<void> {
  await mkdir(join(home, 'hooks'), { recursive: true });
  await mkdir(join(home, 'template'));
  await writeFile(join(home, 'hooks/pre-commit'), `#!/bin/sh\ntouch ${join(home, 'hook-was-run')}\nexit 1\n`, {
    mode: 0o755,
  });
  await writeFile(join(home, 'template/from-template'), '');
  await writeFile(
    join(home, '.gitconfig'),
    `[core]\n hooksPath = ${home}/hooks\n[init]\n templateDir = ${home}/template\n defaultBranch = trunk\n[commit]\n gpgSign = true\n[user]\n useConfigOnly = true\n`,
  );
}
