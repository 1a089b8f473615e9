import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { repositoryRoot, targetFile } from '../../foundations/catalogue/target.ts';

test('modules are judged in the order in which they are given', async () => {
  const names = ['c', 'a', 'b'];
  const modules = names.map((name) => ({
    slug: 'event-emitter',
    name,
    target: targetFile('event-emitter', 'solutions'),
  }));
  // A process of its own, since there is one Vitest in a process.
  const script = `import { judge } from ${JSON.stringify(join(repositoryRoot, 'helpers/judging/run/judge.ts'))};
    const judged = [];
    await judge(${JSON.stringify(modules)}, [], ({ name }) => judged.push(name), { workers: 1 });
    console.log(JSON.stringify(judged));`;

  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
    { cwd: repositoryRoot },
  );

  expect(JSON.parse(stdout)).toEqual(names);
});
