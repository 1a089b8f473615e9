import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { until } from '../../foundations/waiting/until.ts';
import { type Subject, startModule } from './subject.ts';
import type { SubjectOptions } from './subject-types.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

// A module is written for each test, and run as a candidate's would be. The limit is short where a test waits for it.

const folder = await testFolder(afterAll);
let written = 0;

type Exports = Record<string, (...args: unknown[]) => unknown>;
type AnySubject = Subject<Exports, Record<string, unknown>>;

describe('what a module does to its own process', () => {
  const fates: readonly [fate: string, source: string, sentence: RegExp, line?: RegExp][] = [
    [
      'an endless loop in a call',
      'export function go() {\n  for (;;);\n}',
      /was stopped after 1 s of answering a call: its event loop is blocked/,
    ],
    [
      'an endless loop at import',
      'for (;;);\nexport const go = 1;',
      /was stopped after 1 s of loading: its event loop is blocked/,
    ],
    [
      'a promise that never settles',
      'export const go = () => new Promise(() => {});',
      /was stopped after 1 s of answering a call: its event loop is free/,
    ],
    [
      'process.exit(0)',
      'export function go() {\n  process.exit(0);\n}',
      /ended its process with exit code 0, by process\.exit/,
      /module-\d+\.ts:2:\d+/,
    ],
    [
      'process.exit at import',
      'process.exit(3);\nexport const go = 1;',
      /ended its process with exit code 3, by process\.exit/,
      /module-\d+\.ts:1:\d+/,
    ],
    [
      'a thrown error',
      'interface Unused {}\nexport function go() {\n  throw new RangeError("too far");\n}',
      /threw while answering a call: RangeError: too far/,
      /go .*module-\d+\.ts:3:\d+/,
    ],
    [
      'an error with a stack of its own making',
      'export const go = () => { throw Object.assign(new Error("odd"), { stack: "Error: odd\\n    at go (file://nowhere/x.ts:1:1)" }); };',
      /threw while answering a call: Error: odd/,
      /file:\/\/nowhere\/x\.ts:1:1/,
    ],
    [
      'a thrown non-error',
      'export const go = async () => { throw { code: 7 }; };',
      /threw while answering a call: \[object Object\] \(not an Error\)/,
    ],
    [
      'an error at import',
      'export const go = 1;\nthrow new Error("no config");',
      /threw while loading: Error: no config/,
      /module-\d+\.ts:2:\d+/,
    ],
    [
      'an unhandled rejection',
      'export function go() {\n  void Promise.reject(new Error("lost"));\n  return new Promise(() => {});\n}',
      /ended its process by an unhandled rejection: Error: lost/,
      /module-\d+\.ts:2:\d+/,
    ],
    [
      'an uncaught non-error',
      'export const go = () => new Promise(() => setTimeout(() => { throw "late"; }, 1));',
      /ended its process by an uncaught exception: "late" \(not an Error\)/,
    ],
    [
      '100 MB of output',
      'export async function go() {\n  for (let i = 0; i < 100; i++) process.stdout.write("x".repeat(1_000_000));\n  await new Promise(() => {});\n}',
      /printed more than 16 MiB and was stopped/,
    ],
    [
      'a module that does not compile',
      'export function go( {\n',
      /module-\d+\.ts:2:1 does not compile: Expected identifier/,
    ],
    ['a missing export', 'export const stop = 1;', /has no export named go; it exports stop/],
  ];

  test.for(fates)('%s costs one call and says so in a sentence', async ([fate, source, sentence, line]) => {
    // A short limit for what never comes; the rest gets the usual one, for writing 100 MB takes its time too.
    const never = /endless|never settles/.test(fate);
    const error = await failureOf(run(source, never ? { limitMs: 1000 } : {}));

    expect(error.message).toMatch(sentence);
    expect(error.message.split('\n')[0]).toMatch(/\.$|: |\)$/);
    if (line) expect(error.stack).toMatch(line);
    expect(await run('export const go = () => 42;')).toBe(42);
  });

  test('what it printed is kept, both ends of it', async () => {
    await using subject = await start(
      'export function go() { console.log("begin"); console.log("x".repeat(60_000)); console.error("end"); }',
    );

    await subject.evaluate((kata) => void kata.go!());
    await until(() => subject.printed.includes('end'));

    expect(subject.printed).toMatch(/^begin\nx+\n\[\d+ bytes left out\]\nx+\n\nend\n$/);
  });
});

describe('what a module is held back from', () => {
  const attempts: readonly [attempt: string, source: string][] = [
    [
      'reading files',
      'import { readFileSync } from "node:fs";\nexport const go = () => readFileSync("/etc/hostname", "utf8");',
    ],
    [
      'reading the answers',
      `import { readFileSync } from "node:fs";\nexport const go = () => readFileSync(${JSON.stringify(join(repositoryRoot, 'package.json'))}, "utf8");`,
    ],
    [
      'writing files',
      `import { writeFileSync } from "node:fs";\nexport const go = () => writeFileSync(${JSON.stringify(join(folder, 'written'))}, "");`,
    ],
    [
      'child processes',
      'import { execSync } from "node:child_process";\nexport const go = () => execSync("id").toString();',
    ],
    [
      'workers',
      'import { Worker } from "node:worker_threads";\nexport const go = () => void new Worker("1", { eval: true });',
    ],
  ];

  test.for(attempts)('%s', async ([, source]) => {
    const error = await failureOf(run(source));

    expect(error.message).toContain('Access to this API has been restricted');
  });

  test('the network, unless its kata needs it', async (ctx) => {
    ctx.skip(
      !process.allowedNodeEnvironmentFlags.has('--allow-net'),
      'this version of Node cannot hold back the network',
    );
    const source = `import { createServer } from "node:net";
      export const go = () => new Promise((resolve, reject) => createServer().on("error", reject).listen(0, "127.0.0.1", () => resolve("open")));`;

    expect((await failureOf(run(source))).message).toMatch(/restricted|denied/i);
    expect(await run(source, { needs: ['net'] })).toBe('open');
  });

  test('signals, the channel to the test, and the runner’s environment and time zone', async () => {
    const source = `export const go = () => ({
      away: ["kill", "_kill", "send", "_send", "abort"].filter((name) => process[name] !== undefined),
      environment: Object.keys(process.env).filter((name) => !["LANG", "LC_ALL", "TZ", "SystemRoot", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"].includes(name)),
      minutesFromUtc: new Date(0).getTimezoneOffset(),
    });`;

    expect(await run(source)).toEqual({ away: [], environment: [], minutesFromUtc: -330 });
  });
});

describe('evaluate', () => {
  test('measures with what was there before the module', async () => {
    await using subject = await start(
      `Reflect.set(process, 'cpuUsage', () => ({ user: 0, system: 0 }));
      Reflect.set(process, 'getActiveResourcesInfo', () => []);
      export const go = () => 42;`,
    );

    const seen = await subject.evaluate(async (_kata, _args, _kept, { turns, cpuMs, timers }) => {
      const before = { cpuMs: cpuMs(), timers: timers() };
      let hasTurned = false;
      const timer = setTimeout(() => (hasTurned = true), 1);
      const held = timers();
      for (let sum = 0; cpuMs() - before.cpuMs < 20; sum++) Math.sqrt(sum);
      for (let count = 0; count < 1000 && !hasTurned; count++) await turns(1);
      clearTimeout(timer);
      return { hasTurned, held: held - before.timers, left: timers() - before.timers };
    });

    expect(seen).toEqual({ hasTurned: true, held: 1, left: 0 });
  });

  test('keeps what the test leaves in the process, and gives back plain data unchanged', async () => {
    await using subject = await start('export const go = (value) => value;');
    const data = {
      text: 'ü',
      list: [1, undefined, null, NaN],
      big: 10n,
      bytes: new Uint8Array([1, 2]),
      nested: { deep: [{}] },
    };

    await subject.evaluate((kata, value, kept) => {
      kept.value = kata.go!(value);
    }, data);
    const back = await subject.evaluate((_kata, _args, kept) => kept.value);

    expect(back).toEqual(data);
  });

  test('refuses what is not plain data, in both directions, and says where it is', async () => {
    await using subject = await start('export const go = () => ({ rows: [{ at: new Date(0) }] });');
    class Money {}

    expect((await failureOf(subject.evaluate((kata) => kata.go!()))).message).toContain('result.rows[0].at is a Date');
    expect((await failureOf(subject.evaluate(() => 1, { price: new Money() }))).message).toContain(
      'args.price is a Money',
    );
    expect(
      (
        await failureOf(
          subject.evaluate(
            () => 1,
            () => 2,
          ),
        )
      ).message,
    ).toContain('args is a function');
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    expect((await failureOf(subject.evaluate(() => 1, circle))).message).toContain('args.self refers back');
  });

  test('names the variable of the test that a function closes over', async () => {
    await using subject = await start('export const go = () => 1;');
    const limit = 3;

    const error = await failureOf(subject.evaluate(() => limit));

    expect(error.message).toMatch(/uses limit, which does not exist in the subject's process; pass it in args/);
  });

  test.for([
    ['a message of its own', 'Buffer.from("hello")', undefined],
    ['four gigabytes that never come', 'Buffer.alloc(8)', 0xffff_ffff],
  ] as const)('a module that writes %s to the channel is stopped and named', async ([, body, length]) => {
    const source = `import { writeSync } from "node:fs";
      export function go() {
        const body = ${body};
        const head = Buffer.alloc(4);
        head.writeUInt32BE(${length ?? 'body.length'});
        writeSync(3, Buffer.concat([head, body]));
        return "its own answer";
      }`;

    await expect(run(source)).rejects.toThrow(/wrote to the channel between its process and the judge/);
  });

  test('takes enums, parameter properties and decorators', async () => {
    const source = `
      enum Colour { Red = 4 }
      function twice(_target: unknown, _name: string, descriptor: PropertyDescriptor) { const run = descriptor.value; descriptor.value = function () { return run.call(this) * 2; }; }
      class Box { constructor(private readonly size: number) {} @twice volume() { return this.size ** 3; } }
      export const go = () => [Colour.Red, new Box(2).volume()];`;

    expect(await run(source)).toEqual([4, 16]);
  });
});

describe('a process that may end', () => {
  const listens = `import { createServer } from 'node:net';
    const server = createServer().listen(0, '127.0.0.1');
    export const go = () => void server.close();`;

  test('lives as long as the module has something to do once it was let go, and its code is told', async () => {
    const source = `${listens}\nprocess.exitCode = 7;`;
    await using held = await start(source, { needs: ['net'] });
    await using subject = await start(source, { needs: ['net'] });
    await subject.letGo();

    await subject.turns(20);
    void subject.evaluate((kata) => kata.go!()).catch(() => undefined);
    await held.evaluate((kata) => kata.go!());

    expect(await subject.ended()).toEqual({ code: 7, signal: null });
    expect(await held.ended(100), 'one that was not let go').toBeUndefined();
    expect(held.alive).toBe(true);
  });

  test.skipIf(process.platform === 'win32')('gets real signals, and is told from one that a signal ended', async () => {
    const handles = "process.on('SIGTERM', () => process.exit(3));\nexport const go = 1;";
    for (const [source, exit] of [
      [handles, { code: 3, signal: null }],
      ['export const go = 1;', { code: null, signal: 'SIGTERM' }],
    ] as const) {
      await using subject = await start(source);

      subject.signal('SIGTERM');

      expect(await subject.ended()).toEqual(exit);
      subject.signal('SIGTERM');
    }
  });

  // Skipped elsewhere: only Linux tells from outside what a process does with its time.
  test.skipIf(process.platform !== 'linux')('is waited for longer while it is at work', async () => {
    await using subject = await start(
      'export const go = (ms) => { for (const end = Date.now() + ms; Date.now() < end;); };',
    );

    expect(
      await subject.settles(
        subject.evaluate((kata) => kata.go!(1500)),
        500,
      ),
      'it works for 1.5 s',
    ).toBe(true);
    expect(await subject.settles(new Promise(() => undefined), 500), 'it has nothing to do').toBe(false);
  });

  test('is ended by the judge when it stands still after its event exit, and its code is told', async () => {
    const standsStill = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)';
    await using subject = await start(
      `process.on('exit', () => ${standsStill});\nexport const go = () => process.exit(3);`,
    );
    void subject.evaluate((kata) => kata.go!()).catch(() => undefined);

    expect(await subject.ended()).toEqual({ code: 3, signal: null });
  });

  test('cannot pass for ended when the judge has ended it', async () => {
    await using subject = await start(
      'import { writeSync } from "node:fs";\nexport const go = () => void writeSync(3, Buffer.alloc(40));',
    );
    void subject.evaluate((kata) => kata.go!()).catch(() => undefined);

    await expect(subject.ended()).rejects.toThrow(/wrote to the channel/);
  });
});

describe('nothing is left behind', () => {
  test.for(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
    '%s to the runner ends a subject that is in an endless loop',
    async (signal) => {
      const file = await write('export const go = () => { for (;;); };');
      const script = `import { startModule } from ${JSON.stringify(join(repositoryRoot, 'helpers/judging/subject/subject.ts'))};
      const subject = await startModule(${JSON.stringify(file)}, {});
      subject.evaluate((kata) => kata.go()).catch(() => {});
      setTimeout(() => console.log(subject.pid), 50);`;
      const runner = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
        cwd: repositoryRoot,
      });
      onTestFinished(() => void runner.kill('SIGKILL'));
      const [line] = await once(createInterface({ input: runner.stdout }), 'line', {
        signal: AbortSignal.timeout(20_000),
      });
      const pid = Number(line);
      expect(isAlive(pid)).toBe(true);

      runner.kill(signal);

      expect(await until(() => !isAlive(pid), 20_000), 'the subject is gone').toBe(true);
    },
  );
});

async function write(source: string): Promise<string> {
  const file = join(folder, `module-${++written}.ts`);
  await writeFile(file, source);
  return file;
}

async function start(source: string, options: SubjectOptions = {}): Promise<AnySubject> {
  return await startModule<Exports, Record<string, unknown>>(await write(source), options);
}

/** Loads a module and calls its `go`. */
async function run(source: string, options: SubjectOptions = {}): Promise<unknown> {
  await using subject = await start(source, options);
  return await subject.evaluate((kata) => kata.go!());
}

async function failureOf(call: Promise<unknown>): Promise<Error> {
  try {
    const value = await call;
    throw new Error(`it did not fail, but came back with ${JSON.stringify(value)}`);
  } catch (error) {
    return error as Error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
