import { cp, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { runHouseCommand } from '../../foundations/command-line/run-house-command.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

// `npm run verify` in a house of one small kata, "addition", in which one thing at a time is made wrong.

const house = await testFolder(afterAll);

const readme = `---
title: Addition
track: Arithmetic
level: junior
minutes: 5
needs: []
starterBreaks: [1]
---

# Addition

## Promises

### core

1. It adds.

### robust

2. It takes any order.
`;
const judge = `import { describe, expect, onTestFinished, test } from 'vitest';
import { startSubject } from '../../helpers/judging/subject/start-subject.ts';

describe('core', () => {
  test('It adds.', async () => {
    expect(await sum(2, 3), 'the sum of 2 and 3').toBe(5);
  });
});

describe('robust', () => {
  test('It takes any order.', async () => {
    expect(await sum(3, 2), 'the sum of 3 and 2').toBe(await sum(2, 3));
  });
});

async function sum(a, b) {
  const subject = await startSubject('addition');
  onTestFinished(() => subject[Symbol.asyncDispose]());
  return await subject.evaluate((kata, args) => kata.add(...args), [a, b]);
}
`;
const right = 'export const add = (a: number, b: number) => a + b;\n';
const concatenates =
  '/*\nbreaks: [1, 2]\nwhy: It joins the digits: 2 and 3 are 23.\nask: What is 2 and 3?\n*/\nexport const add = (a: number, b: number) => Number(`${a}${b}`);\n';
const starter = 'export const add = (a: number, b: number) => a * b;\n';

beforeEach(async () => {
  // What Node and Vitest compiled stays.
  for (const name of await readdir(house)) if (name !== '.cache') await rm(join(house, name), { recursive: true });
  for (const name of ['helpers', 'package.json', 'package-lock.json', 'vitest.config.ts', 'tsconfig.json']) {
    await cp(join(repositoryRoot, name), join(house, name), { recursive: true });
  }
  await symlink(join(repositoryRoot, 'node_modules'), join(house, 'node_modules'), 'junction');
  await put('katas/addition/README.md', readme);
  await put('katas/addition/addition.ts', starter);
  await put('solutions/addition/addition.ts', right);
  await put('solutions/addition/NOTES.md', '# Notes\n');
  await put('tests/addition/addition.test.ts', judge);
  for (const name of ['one', 'two', 'three']) await put(`tests/addition/submissions/accepted/${name}.ts`, right);
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f'])
    await put(`tests/addition/submissions/rejected/${name}.ts`, concatenates);
});

describe('what it finds', () => {
  test('a house in order, under load: exit code 0', async () => {
    const { code, stdout } = await verify('addition', '--load');

    expect(stdout).toContain('6 of 11 submissions judged, beside busy loops.');
    expect(stdout).toMatch(/^starter +✗ +· /m);
    expect(stdout).toMatch(/^rejected\/a +✗ +✗ /m);
    expect(stdout).toMatch(/\n7 passed, 0 failed\n$/);
    expect(code).toBe(0);
  });

  test('by default it judges one rejected submission for each promise', async () => {
    const { code, stdout } = await verify();

    expect(stdout).toContain('6 of 11 submissions judged.');
    expect(stdout).toMatch(/^rejected\/a /m);
    expect(stdout).not.toMatch(/^rejected\/b /m);
    expect(code).toBe(0);
  });

  test('by default it judges that one by what it breaks, with --all by every promise', async () => {
    const multiplies = concatenates.replace('[1, 2]', '[1]').replace(/export[^]*/, starter);
    for (const name of ['b', 'c', 'd', 'e', 'f'])
      await put(`tests/addition/submissions/rejected/${name}.ts`, multiplies);
    await put('tests/addition/submissions/rejected/a.ts', multiplies.replace('[1]', '[2]').replace('a * b', 'a - b'));

    const { code, stdout } = await verify();
    expect(stdout).toMatch(/^rejected\/a +✗ +\d/m);
    expect(code).toBe(0);

    const { stdout: whole } = await verify('addition', '--all');
    expect(whole).toMatch(/^rejected\/a +! +✗ .*WRONG$/m);
  });

  test('a rejected submission that is a patch is judged as the text that it makes', async () => {
    const patch = '--- solution.ts\n+++ rejected/a.ts\n@@ -1,1 +1,1 @@\n';
    const lines = `-${right}+export const add = (a: number, b: number) => Number(\`\${a}\${b}\`);\n`;
    await rm(join(house, 'tests/addition/submissions/rejected/a.ts'));
    await put(
      'tests/addition/submissions/rejected/a.patch',
      `breaks: [1, 2]\nwhy: It joins the digits.\nask: Why?\n\n${patch}${lines}`,
    );

    const { code, stdout } = await verify();
    expect(stdout).toMatch(/^rejected\/a +✗ +✗ /m);
    expect(code).toBe(0);

    await put('solutions/addition/addition.ts', right.replace('a + b', 'b + a'));
    const stale = await verify();
    expect(stale.stderr).toMatch(/rejected\/a\.patch does not apply to solutions\/addition\/addition\.ts: hunk 1 of 1/);
    expect(stale.code).toBe(2);
  });

  test('a verdict that is different the next time is unsteady; it fails, unless that is tolerated', async () => {
    const imports = `import { existsSync, writeFileSync } from 'node:fs';
import { settings } from '../../helpers/foundations/settings.ts';
`;
    const unsteady = `test('It adds.', async () => {
    if (settings().target === 'solutions' && !existsSync('once')) {
      writeFileSync('once', '');
      expect(0, 'the first time').toBe(1);
    }`;
    await put('tests/addition/addition.test.ts', imports + judge.replace("test('It adds.', async () => {", unsteady));

    const { code, stdout } = await verify();
    expect(stdout).toMatch(/^solution +! +· .*UNSTEADY, 1 OF 4$/m);
    expect(stdout).toContain(
      'solutions/addition/addition.ts is unsteady, 1 of 4:\n  promise 1 was to hold, and broke (1 of 4 verdicts)\n    the first time: expected',
    );
    expect(stdout).toMatch(/\n6 passed, 1 failed\n$/);
    expect(code).toBe(1);

    await rm(join(house, 'once'));
    const tolerated = await verify('addition', '--tolerate-unsteady', '1');
    expect(tolerated.stdout).toContain('Tolerated as unsteady, 1 of at most 1: solutions/addition/addition.ts.');
    expect(tolerated.stdout).toMatch(/\n7 passed, 0 failed\n$/);
    expect(tolerated.code).toBe(0);
  });

  test('margins are printed and recorded; one that is too small is a warning, or a fault if they are strict', async () => {
    await put(
      'tests/addition/addition.test.ts',
      judge
        .replace(
          /import \{ startSubject/,
          "import { expectAtMost } from '../../helpers/judging/verdict/expect-that.ts';\n$&",
        )
        .replace(
          "expect(await sum(2, 3), 'the sum of 2 and 3').toBe(5);",
          "expectAtMost(await sum(2, 3), 5, 'the sum of 2 and 3', 'units');",
        ),
    );

    const { code, stdout } = await verify('addition', '--all', '--record-margins');
    expect(stdout).toContain(
      'promise 1: the sum of # and #\n  correct    100%  solution (5, limit 5)\n  wrong      120%  starter (6, limit 5)\n',
    );
    expect(stdout).toContain('Warning: Promise 1 of addition, "the sum of # and #": solution is correct and uses 100%');
    expect(stdout).toContain(
      'Warning: Promise 1 of addition, "the sum of # and #": starter is wrong and uses only 120%',
    );
    expect(code).toBe(0);

    const recorded = await readFile(join(house, 'solutions/addition/margins.json'), 'utf8');
    expect(JSON.parse(recorded)).toEqual({ 1: { name: 'rejected/a', use: 4.6 } });

    const strict = await verify('addition', '--strict-margins');
    expect(strict.stdout).toMatch(/\nPromise 1 of addition.* starter is wrong[^]*\n6 passed, 1 failed\n$/);
    expect(strict.code).toBe(1);
  });

  test('a wrong claim, and a right answer that is refused, with what was seen', async () => {
    await put('tests/addition/submissions/rejected/a.ts', concatenates.replace('[1, 2]', '[2]'));
    await put('tests/addition/submissions/accepted/one.ts', starter);

    const { code, stdout, stderr } = await verify('addition', '--all');

    const complaint =
      /rejected\/a\.ts is not judged as it claims:\n +promise 1 was to hold, and broke\n +the sum of 2 and 3: expected 23 to be 5\n/;
    expect(stdout).toMatch(/^rejected\/a +! +✗ .*WRONG$/m);
    expect(stdout).toMatch(/^accepted\/one +! +· .*WRONG$/m);
    expect(stderr, 'said at once').toMatch(complaint);
    expect(stdout, 'and as the last thing').toMatch(
      /rejected\/a\.ts is wrong:\n +promise 1 was to hold, and broke \(4 of 4 verdicts\)\n +the sum of 2 and 3: expected 23 to be 5\n/,
    );
    expect(code).toBe(1);
  });

  test('a starter that is green, a solution that is red, a wrong answer that passes', async () => {
    await put('katas/addition/addition.ts', right);
    await put('solutions/addition/addition.ts', 'export const add = () => { throw new Error("later"); };\n');
    await put('tests/addition/submissions/rejected/f.ts', concatenates.replace(/export[^]*/, right));

    const { code, stdout } = await verify('addition', '--all');

    for (const name of ['starter', 'solution', 'rejected/f'])
      expect(stdout).toMatch(new RegExp(`^${name} .*WRONG$`, 'm'));
    expect(stdout).toContain('promise 1 was to break, and held');
    expect(stdout).toMatch(/solutions\/addition\/addition\.ts threw while answering a call: Error: later/);
    expect(stdout).toMatch(/\n9 passed, 3 failed\n$/);
    expect(code).toBe(1);
  });

  test('a test that is skipped or missing, and words that are not the README’s', async () => {
    await put(
      'tests/addition/addition.test.ts',
      // Nothing is skipped here: this is text of the small house's judge, and verify has to notice it.
      judge.replace("test('It takes any order.'", "test.skip('It takes all orders.'"),
    );

    const { code, stdout } = await verify();

    expect(stdout).toContain('the test was skipped');
    expect(stdout).toContain(
      'Promise 2 of addition: the README says robust: "It takes any order.", the judge robust: "It takes all orders."',
    );
    expect(code).toBe(1);

    await put('tests/addition/addition.test.ts', judge.replace(/describe\('robust'[^]*?\n\}\);\n/, ''));
    expect((await verify()).stdout).toContain(
      'Promise 2 of addition: the README says robust: "It takes any order.", the judge nothing.',
    );
  });

  test('a promise that cannot be judged here is neither held nor broken, and its reason is shown', async () => {
    const reason = 'this machine has no abacus.';
    await put(
      'tests/addition/addition.test.ts',
      judge.replace(/(any order\.', async \()\) => \{/, `$1{ skip }) => {\n    skip('${reason}');`),
    );

    const { code, stdout } = await verify();
    expect(stdout).toMatch(/^solution +· +– /m);
    expect(stdout).toMatch(/^rejected\/a +✗ +– /m);
    expect(stdout).toContain(`Promise 2 is not judged here: ${reason}`);
    expect(stdout).toMatch(/\n7 passed, 0 failed\n$/);
    expect(code).toBe(0);

    const board = await runHouseCommand('for-candidates/test', ['addition', '--solution'], {}, house);
    expect(board.stdout).toMatch(/^ {2}robust {3}– {2}2 It takes any order\.$/m);
    expect(board.stdout).toContain(`Promise 2 is not judged here: ${reason}`);
    expect(board.stdout).toContain('1 of 2 promises hold in 1 kata, 1 not judged here');
    expect(board.code).toBe(0);
  });

  test('too few submissions, a promise whose test nobody has seen fail, missing notes, a long README', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
      await put(
        `tests/addition/submissions/rejected/${name}.ts`,
        concatenates.replace('[1, 2]', '[1]').replace('`${a}${b}`', 'a * b'),
      );
    }
    await rm(join(house, 'tests/addition/submissions/rejected/f.ts'));
    await rm(join(house, 'tests/addition/submissions/accepted/two.ts'));
    await rm(join(house, 'solutions/addition/NOTES.md'));
    await put('katas/addition/README.md', `${readme}\n## What the judge does\n\n| ${'adds '.repeat(251)}|\n`);

    const { code, stdout } = await verify();

    expect(stdout).toContain('addition has 2 accepted submissions; it needs 3.');
    expect(stdout).toContain('addition has 5 rejected submissions; it needs 6.');
    expect(stdout).toContain('No rejected submission of addition breaks promise 2, "It takes any order."');
    expect(stdout).toContain('solutions/addition/NOTES.md is missing.');
    expect(stdout).toContain('katas/addition/README.md has 251 words between the promises and "Run it"; at most 250');
    expect(stdout).toMatch(/\n5 passed, 1 failed\n$/);
    expect(code).toBe(1);
  });
});

describe('bad input is one sentence and exit code 2', () => {
  test.for<[fault: string, text: string, sentence: string]>([
    ['no header', right, 'has no header'],
    ['a promise that there is not', concatenates.replace('[1, 2]', '[12]'), 'says "breaks: [12]"'],
    ['no list of promises', concatenates.replace('[1, 2]', 'some'), 'says "breaks: some"'],
    ['no question', concatenates.replace('ask:', 'asks'), 'lacks "why" or "ask"'],
  ])('a rejected submission with %s', async ([, text, sentence]) => {
    await put('tests/addition/submissions/rejected/a.ts', text);

    const { code, stdout, stderr } = await verify();

    expect(stderr).toMatch(/^tests\/addition\/submissions\/rejected\/a\.ts /);
    expect(stderr).toContain(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('an unknown kata, a number that is none, and a record without all submissions', async () => {
    expect(await verify('additon')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Did you mean addition?'),
    });
    expect(await verify('--tolerate-unsteady', 'some')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('whole number'),
    });
    expect(await verify('addition', '--record-margins')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--record-margins needs --all'),
    });
  });
});

test('what has passed and has not changed is not run again, unless --fresh asks for it', async () => {
  const env = { CI: undefined, KATA_CACHE: join(house, 'cache') };
  const run = (...args: string[]) => runHouseCommand('for-authors/verify', ['addition', ...args], env, house);

  const outputs = [await run(), await run(), await run('--fresh')];
  await put('solutions/addition/addition.ts', `// The sum.\n${right}`);
  outputs.push(await run());

  const [first, second, fresh, changed] = outputs.map(({ stdout }) => stdout);
  expect(second).toMatch(/^addition: unchanged since all 6 were judged as claimed, .*\n\n7 passed, 0 failed\n$/);
  for (const stdout of [first, fresh, changed])
    expect(stdout).toMatch(/6 of 11 submissions judged\.\n\n7 passed, 0 failed\n$/);
});

async function put(file: string, text: string): Promise<void> {
  await mkdir(dirname(join(house, file)), { recursive: true });
  await writeFile(join(house, file), text);
}

async function verify(...args: string[]) {
  // A name is given, since without one the helpers' own tests would run as well.
  return await runHouseCommand('for-authors/verify', args.length > 0 ? args : ['addition'], { CI: 'true' }, house);
}
