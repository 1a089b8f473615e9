import { copyFile, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runHouseCommand } from '../../foundations/command-line/run-house-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { readVersions } from './read-versions.ts';

// `npm run compare` with a candidate whose module is the reference but for one line, which tries to be more than text.

const slug = 'race-condition';
const own = `katas/${slug}/${slug}.ts`;
const place = await testFolder(afterAll);
const candidate = join(place, 'candidate');

beforeAll(async () => {
  await mkdir(join(candidate, 'katas', slug), { recursive: true });
  await copyFile(join(repositoryRoot, `solutions/${slug}/${slug}.ts`), join(candidate, own));
  const text = await readFile(join(candidate, own), 'utf8');
  const trick = '// \u001B[31mred\u001B[0m \u202Etxt\u0007 <script>alert(1)</script>';
  await writeFile(join(candidate, own), text.replace('const attempts = 10;', `const attempts = 99; ${trick}`));
});

test('three columns, 160 at most, with marks where they differ and no color', async () => {
  const { code, stdout } = await compare('1000', slug, candidate);

  const lines = stdout.split('\n');
  expect(code).toBe(0);
  expect(lines[0]).toMatch(/^starter: katas\S+ +candidate: \S+ +reference: solutions/);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(160);
  expect(lines.some((line) => /const attempts = 99;.* \| const attempts = 10;$/.test(line))).toBe(true);
  expect(stdout).toMatch(
    /^ {2}const pool = createPool\(options\); +const pool = createPool\(options\); +const pool = createPool/m,
  );
  expect(stdout).not.toMatch(/[^\P{C}\n]/u);
  expect(stdout).toContain('\\u{202e}');
});

test('unified diffs below each other where there is no room, 80 columns at least', async () => {
  const { code, stdout } = await compare('10', slug, join(candidate, own));

  expect(code).toBe(0);
  expect(stdout).toMatch(/^--- starter: .*\n\+\+\+ candidate: [^]*^--- candidate: [^]*^\+\+\+ reference: /m);
  expect(stdout).toMatch(/^-const attempts = 99;.*\n(?:.*\n)?\+const attempts = 10;$/m);
  expect(Math.max(...stdout.split('\n').map(({ length }) => length))).toBe(80);
});

test('a module that nobody has touched is shown once', async () => {
  const { stdout } = await compare('160', slug, repositoryRoot);

  expect(stdout).toMatch(/^starter: \S+ +reference: /);
});

test('a page of its own: nothing is fetched, nothing of the candidate’s is markup', async () => {
  const file = join(place, 'page.html');

  const { code, stdout } = await compare('80', slug, candidate, '--html', file);

  const page = await readFile(file, 'utf8');
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${file}\n` });
  expect(page).toContain('From starter to candidate');
  expect(page).toContain('From candidate to reference');
  expect(page).not.toMatch(/<script|<link|<img|\ssrc=|@import|url\((?!data:)/i);
  expect(page).toContain('&lt;script&gt;');
  expect(page).toContain('prefers-color-scheme: dark');
  expect(await readdir(place)).toEqual(['candidate', 'page.html']);
});

describe('bad input is one sentence', () => {
  test.for<[fault: string, args: readonly string[], sentence: RegExp]>([
    ['an unknown kata', ['race'], /^There is no kata "race"\. Did you mean/],
    ['a page in no folder', [slug, candidate, '--html', join(place, 'no/page.html')], /page\.html cannot be written/],
  ])('and exit code 2: %s', async ([, args, sentence]) => {
    const { code, stdout, stderr } = await compare('80', ...args);

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test('a folder that is not there or has no such file, a link, a large file', async () => {
    await symlink(join(candidate, own), join(place, 'link.ts'));
    await writeFile(join(place, 'large.ts'), 'x'.repeat(300_000));
    const refusal = (name: string) => readVersions(slug, join(place, name)).catch((error: unknown) => error);

    const refusals = await Promise.all(['nobody', '.', 'link.ts', 'large.ts'].map(refusal));

    expect(refusals.every((error) => error instanceof UserError)).toBe(true);
    expect(refusals.map((error) => (error as Error).message)).toEqual([
      expect.stringMatching(/^There is no .*nobody: name the candidate's folder or file\.$/),
      expect.stringMatching(/^There is no .*race-condition\.ts to compare\.$/),
      expect.stringMatching(/link\.ts is not a regular file, so it was not read\.$/),
      expect.stringMatching(/large\.ts has 300000 bytes; what is compared may have 262144\.$/),
    ]);
  });
});

async function compare(columns: string, ...args: readonly string[]) {
  return await runHouseCommand('for-interviewers/compare', args, { COLUMNS: columns });
}
