import { cp, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { runHouseCommand } from '../../foundations/command-line/run-house-command.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';

// `npm run submission` in a repository of one kata, "letters": its answers are lists of letters.

const root = await testFolder(afterAll);
const rejected = 'tests/letters/submissions/rejected';
const claims = '/*\nbreaks: [1]\nwhy: It is wrong.\nask: Why?\n*/\n';
const line = (letter: string) => `export const ${letter} = '${letter}';\n`;
const answer = (letters: string) => [...letters].map(line).join('');
const alphabet = 'abcdefghijklmnop';
const nearly = claims + answer(alphabet.replace('h', 'z'));
const other = (last: string) => claims + answer(`ABCDEFGHIJKLMNO${last}`);

beforeEach(async () => {
  await rm(root, { recursive: true, force: true });
  await mkdir(root);
  for (const name of ['helpers', 'package.json', '.oxlintrc.json', '.oxfmtrc.json', '.npmrc'])
    await cp(join(repositoryRoot, name), join(root, name), { recursive: true });
  await symlink(join(repositoryRoot, 'node_modules'), join(root, 'node_modules'), 'junction');
  await put('katas/letters/README.md', '');
  await put('solutions/letters/letters.ts', answer(alphabet));
  await put('tests/letters/submissions/accepted/upside-down.ts', answer('ponmlkjihgfedcba'));
  await put(`${rejected}/nearly.ts`, nearly);
});

test('save folds a text into a patch against the nearest answer, and open gives it back letter for letter', async () => {
  expect(await submission('save', 'letters/nearly')).toMatchObject({
    code: 0,
    stdout: 'letters/nearly: 21 lines became a patch of 11, against solution.ts.\n',
  });
  expect(await readdir(join(root, rejected))).toEqual(['nearly.patch']);

  expect(await submission('open', 'letters/nearly')).toMatchObject({ code: 0, stdout: `${rejected}/nearly.ts\n` });
  expect(await readdir(join(root, rejected))).toEqual(['nearly.ts']);
  expect(await read(`${rejected}/nearly.ts`)).toBe(nearly);
});

test('an import of the starter costs no hunk, although the reference and the wrong answer write it differently', async () => {
  const importFrom = (folder: string) => `import type * as Starter from '${folder}/katas/letters/letters.ts';\n`;
  const whole = claims + importFrom('../../../..') + answer(alphabet.replace('h', 'z'));
  await put('solutions/letters/letters.ts', importFrom('../..') + answer(alphabet));
  await put(`${rejected}/nearly.ts`, whole);

  const { stdout } = await submission('save', 'letters/nearly');

  expect(stdout).toBe('letters/nearly: 22 lines became a patch of 11, against solution.ts.\n');
  await submission('open', 'letters/nearly');
  expect(await read(`${rejected}/nearly.ts`)).toBe(whole);
});

test('a text that shares less than half of its lines with every answer stays whole', async () => {
  await put(`${rejected}/foreign.ts`, other('P'));

  const { code, stdout } = await submission('save', 'letters/foreign');

  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('letters/foreign stays whole') });
  expect(await read(`${rejected}/foreign.ts`)).toBe(other('P'));
});

test('save --all folds what it can, keeps one foreign text as the base of its like, and can be run again', async () => {
  for (const last of ['P', 'Q', 'R']) await put(`${rejected}/foreign-${last.toLowerCase()}.ts`, other(last));

  const { code, stdout } = await submission('save', '--all');

  expect(stdout).toBe('letters: 4 submissions, 84 lines before, 52 after.\nletters: 1 stay whole: foreign-p.\n');
  expect(code).toBe(0);
  const names = ['foreign-p.ts', 'foreign-q.patch', 'foreign-r.patch', 'nearly.patch'];
  expect(await readdir(join(root, rejected))).toEqual(names);
  expect(await read(`${rejected}/foreign-q.patch`)).toContain('--- rejected/foreign-p.ts\n');

  expect((await submission('save', '--all', 'letters')).stdout).toBe('letters: 1 stay whole: foreign-p.\n');
  expect((await submission('save', 'letters/foreign-p')).stdout, 'a base of others').toContain('stays whole');
  expect(await readdir(join(root, rejected))).toEqual(names);

  await submission('open', '--all');
  expect(await read(`${rejected}/foreign-r.ts`)).toBe(other('R'));
});

test('check writes full texts where git ignores them, removes those without a patch, and lints them', async () => {
  await submission('save', '--all');
  await put('.submissions/letters/submissions/rejected/gone.ts', 'old');

  expect(await submission('check')).toEqual({ code: 0, stdout: '', stderr: '' });

  const folder = '.submissions/letters/submissions/rejected';
  expect(await readdir(join(root, folder))).toEqual(['nearly.ts']);
  expect(await read(`${folder}/nearly.ts`)).toBe(nearly);

  await put(
    `${rejected}/nearly.patch`,
    (await read(`${rejected}/nearly.patch`)).replace("+export const z = 'z';", '+debugger;'),
  );
  const { code, stdout } = await submission('check');
  expect(stdout).toContain('no-debugger');
  expect(code).toBe(1);
});

describe('bad input is one sentence and exit code 2', () => {
  test.for<[args: string[], sentence: string]>([
    [['fold', 'letters/nearly'], 'unknown action "fold"; usage: '],
    [['open', 'nearly'], 'Name one submission as <kata>/<name>'],
    [['open', 'letters/nearby'], 'letters has no rejected submission "nearby"'],
    [['save', 'leters/nearly'], 'Did you mean letters?'],
    [['save', 'letters/nearly', 'letters/other'], 'Name one submission'],
    [[], "missing required argument 'act'"],
  ])('%o', async ([args, sentence]) => {
    const { code, stdout, stderr } = await submission(...args);
    expect(stderr).toContain(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('a base that has changed, and a submission that is there twice', async () => {
    await submission('save', '--all');
    await put('solutions/letters/letters.ts', answer(alphabet.replace('h', 'x')));
    const stale = await submission('check');
    expect(stale.stderr).toContain(
      `${rejected}/nearly.patch does not apply to solutions/letters/letters.ts: hunk 1 of 1`,
    );
    expect(stale.code).toBe(2);

    await put(`${rejected}/nearly.ts`, nearly);
    const twice = await submission('check');
    expect(twice.stderr).toContain(`${rejected}/nearly is there twice`);
    expect(twice.code).toBe(2);
  });
});

test('--help says what it does and what it ends with', async () => {
  const { code, stdout } = await submission('--help');
  expect(stdout).toMatch(/open .*save .*check .*Exit code: 0/s);
  expect(code).toBe(0);
});

async function put(file: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, file)), { recursive: true });
  await writeFile(join(root, file), text);
}

async function read(file: string): Promise<string> {
  return await readFile(join(root, file), 'utf8');
}

async function submission(...args: string[]) {
  return await runHouseCommand('for-authors/submission', args, {}, root);
}
