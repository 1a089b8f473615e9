import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { repositoryRoot, targetFile } from '../../foundations/catalogue/target.ts';

test.skipIf(process.platform !== 'linux')(
  'of judges that are done, a runner keeps no process, not even a zombie',
  async () => {
    const modules = [1, 2].map((number) => ({
      slug: 'event-emitter',
      name: `number ${number}`,
      target: targetFile('event-emitter', 'solutions'),
    }));
    // A process of its own, whose children are its judges' alone.
    const script = `import { readFileSync, readdirSync } from 'node:fs';
    import { judge } from ${JSON.stringify(join(repositoryRoot, 'helpers/judging/run/judge.ts'))};
    const held = [];
    await judge(${JSON.stringify(modules)}, [], (_module, { promises }) => held.push(promises.every((promise) => promise.held)));
    const children = readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).flatMap((pid) => {
      try {
        const stat = readFileSync('/proc/' + pid + '/stat', 'utf8');
        return stat.includes(') Z ' + process.pid + ' ') || stat.includes(') S ' + process.pid + ' ') ? [stat.split(') ')[0]] : [];
      } catch {
        return [];
      }
    });
    console.log(JSON.stringify({ held, children }));`;

    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
      { cwd: repositoryRoot },
    );

    expect(JSON.parse(stdout)).toEqual({ held: [true, true], children: [] });
  },
);
