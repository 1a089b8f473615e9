import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { startModule } from './subject.ts';

const folder = await testFolder(afterAll);
let written = 0;

/** What `go` of a module answers, or the words with which it was refused. */
async function attempt(source: string): Promise<unknown> {
  const file = join(folder, `module-${++written}.ts`);
  await writeFile(file, `import { Worker } from 'node:worker_threads';\n${source}`);
  return await startModule<{ go(): unknown }>(file, { needs: ['worker', 'net', 'read-files'], workspace: folder }).then(
    async (subject) => {
      await using _subject = subject;
      return await subject.evaluate(async (kata) => await kata.go()).catch(({ message }: Error) => message);
    },
    ({ message }: Error) => message,
  );
}

/** Runs a text in a thread, which answers what the text, a function's body, returns or throws. */
const inThread = (body: string, options = '') => `
  const text = ${JSON.stringify(`
    const { parentPort } = require('node:worker_threads');
    (async () => { ${body} })().then((value) => parentPort.postMessage({ value }), (error) => parentPort.postMessage({ error: error.message }));
  `)};
  export const go = () => new Promise((resolve, reject) => {
    const worker = new Worker(text, { eval: true, ${options} });
    worker.on('message', ({ value, error }) => { resolve(error ?? value ?? 'nothing'); worker.terminate(); });
    worker.on('error', reject);
  });`;
const foreign = JSON.stringify(join(repositoryRoot, 'katas/event-emitter/event-emitter.ts'));
const planted = JSON.stringify(join(folder, 'planted'));
const refused =
  /not open to a kata's module|restricted|No such built-in|is not a function|Cannot load native addon|^process\.binding$|^no$/;

const readsAnother = `return require('node:fs').readFileSync(${foreign}, 'utf8').length;`;

describe('a thread', () => {
  test.for([
    ['reads another file', readsAnother],
    ['signals', `return process.kill(process.ppid, 0);`],
    ['aborts', `process.abort();`],
    ['starts a process', `return require('node:child_process').spawnSync('true').status;`],
    ['asks for a binding', `process.binding('fs'); return 'bound';`],
    ['sets flags of V8', `require('node:v8').setFlagsFromString('--redirect-code-traces-to=' + ${planted});`],
    ['opens a Unix socket', `require('node:net').connect('/var/run/docker.sock');`],
    ['listens at a Unix socket', `require('node:net').createServer().listen(${planted});`],
    ['copies through links', `require('node:fs').cpSync(${foreign}, ${planted});`],
    ['opens a database', `return typeof require('node:sqlite').DatabaseSync;`],
    ['attaches an inspector', `new (require('node:inspector').Session)().connectToMainThread(); return 1;`],
    ['hooks imports', `require('node:module').registerHooks({});`],
    ['hooks promises', `require('node:async_hooks').createHook({});`],
    ['sets a priority', `require('node:os').setPriority(process.ppid, 5);`],
    ['loads native code', `process.dlopen({ exports: {} }, '/lib/x86_64-linux-gnu/libc.so.6'); return 1;`],
  ] as const)('that %s is refused', async ([, body]) => {
    expect(await attempt(inThread(body))).toMatch(refused);
  });

  test.for([
    ['without flags', `execArgv: []`],
    ['with flags of its own', `execArgv: ['--no-permission', '--allow-fs-read=*']`],
    ['with an environment', `env: {}`],
    ['with flags by its environment', `env: { NODE_OPTIONS: '--no-permission --allow-fs-read=*' }`],
    ['with options of another class', `...new (class { execArgv = []; })()`],
  ] as const)('is held when it is made %s', async ([, options]) => {
    expect(await attempt(inThread(readsAnother, options))).toMatch(/restricted/);
  });

  /** A text that tries to read another file, as the entry of a thread; it sends what comes of it. */
  const reader = `const { parentPort } = require('node:worker_threads');
    try { parentPort.postMessage(require('node:fs').readFileSync(${foreign}, 'utf8')); } catch (error) { parentPort.postMessage(error.message); }`;
  const asModule = `import { createRequire } from 'node:module'; const require = createRequire('file:///x.js'); ${reader}`;
  const inModule = `import { isMainThread } from 'node:worker_threads'; import { createRequire } from 'node:module';
    if (!isMainThread) { const require = createRequire(import.meta.url); ${reader} }`;
  const nested = `const { Worker, parentPort } = require('node:worker_threads');
    new Worker(${JSON.stringify(reader)}, { eval: true, execArgv: [] }).on('message', (said) => parentPort.postMessage(said));`;
  const evaluated = `${JSON.stringify(reader)}, { eval: true, execArgv: [] }`;
  test.for([
    [
      'of a data: URL',
      `const make = () => new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(asModule)})), { execArgv: [] });`,
    ],
    ['of the module itself', `${inModule}\nconst make = () => new Worker(new URL(import.meta.url));`],
    [
      'of the path of the module',
      `${inModule}\nconst make = () => new Worker(import.meta.filename, { execArgv: [] });`,
    ],
    [
      'of a class of its own',
      `class Own extends Worker { hears() { return 1; } }
       const make = () => new Own(${evaluated});
       if (make().hears() !== 1 || !(make() instanceof Worker)) throw new Error('the class is lost');`,
    ],
    ['in a thread', `const make = () => new Worker(${JSON.stringify(nested)}, { eval: true, execArgv: [] });`],
    [
      'that is to share flags by the environment',
      `process.env['NODE_OPTIONS'] = '--no-permission';
       const { SHARE_ENV } = process.getBuiltinModule('node:worker_threads');
       const make = () => new Worker(${JSON.stringify(reader)}, { eval: true, env: SHARE_ENV });`,
    ],
    [
      'by the constructor of a thread',
      `const first = new Worker('', { eval: true });
       const make = () => new (first.constructor as typeof Worker)(${evaluated});`,
    ],
  ] as const)('%s is held', async ([, source]) => {
    const go = `export const go = () => new Promise((resolve, reject) => {
      const worker = make();
      worker.on('message', (said: unknown) => { resolve(said); void worker.terminate(); });
      worker.on('error', reject);
    });`;

    expect(await attempt(`${source}\n${go}`)).toMatch(/restricted/);
  });

  test.for([
    [
      'the class of native handles',
      `const [key] = Object.getOwnPropertySymbols(new Worker('', { eval: true })).filter((symbol) => String(symbol) === 'Symbol(kHandle)'); const worker = new Worker('', { eval: true }) as any; export const go = () => typeof worker[key!].startThread + ' ' + typeof worker[key!].constructor;`,
      'function undefined',
    ],
    [
      'the class by a diagnostics channel',
      `import { subscribe } from 'node:diagnostics_channel'; let seen = ''; subscribe('worker_threads', (message: any) => { seen = String(message.worker.constructor === Worker); }); new Worker('', { eval: true }); export const go = () => seen;`,
      'true',
    ],
    [
      'what Worker inherits',
      `import { EventEmitter } from 'node:events'; export const go = () => String(Object.getPrototypeOf(Worker) === EventEmitter);`,
      'true',
    ],
    [
      'what the host has kept',
      `export const go = async () => { const file = process.argv[1]!.replace('host.js', 'lockdown.js'); const { asItWas } = await import(file); const { default: v8 } = await import('node:v8'); return String(asItWas(v8).setFlagsFromString === v8.setFlagsFromString); };`,
      'true',
    ],
  ] as const)('does not give away %s', async ([, source, seen]) => {
    expect(await attempt(source)).toBe(seen);
  });

  test('may not leave its folder, since each thread reads the current one', async () => {
    expect(await attempt(`export const go = () => { process.chdir('/'); return 'left'; };`)).toMatch(
      /is not a function/,
    );
    expect(await attempt(inThread(`return process.cwd();`))).toMatch(/inside$/);
  });
});

describe('many threads', () => {
  test('of which 64 live, and no more, those of threads included', async () => {
    const source = `
      const text = \`const { Worker, parentPort } = require('node:worker_threads'); parentPort.once('message', (count) => {
        let made = 0; try { for (; made < count; made++) new Worker('setInterval(() => {}, 1000)', { eval: true }); } catch (error) { return parentPort.postMessage({ made, message: error.message }); } parentPort.postMessage({ made }); })\`;
      const ask = (worker: Worker, count: number) => new Promise<{ made: number; message?: string }>((resolve) => { worker.once('message', resolve); worker.postMessage(count); });
      export const go = async () => {
        const said = [];
        for (const round of [1, 2]) {
          const [one, other] = [new Worker(text, { eval: true }), new Worker(text, { eval: true })];
          for (const worker of [one, other]) worker.removeAllListeners();
          said.push(await ask(one, 40), await ask(other, 40));
          try { new Worker(text, { eval: true }); said.push('started'); } catch { said.push('refused'); }
          await Promise.all([one.terminate(), other.terminate()]);
        }
        return said;
      };`;
    const round = [{ made: 40 }, { made: 22, message: expect.stringContaining('64 threads live') }, 'refused'];

    expect(await attempt(source)).toEqual([...round, ...round]);
  });

  test('have heaps of 64 MB at most, and less where the module says so', async () => {
    const limit = (options: string) =>
      inThread(`return require('node:worker_threads').resourceLimits.maxOldGenerationSizeMb;`, options);
    expect(await attempt(limit(''))).toBe(64);
    expect(await attempt(limit('resourceLimits: { maxOldGenerationSizeMb: 4000 }'))).toBe(64);
    expect(await attempt(limit('resourceLimits: { maxOldGenerationSizeMb: 20 }'))).toBe(20);
    expect(
      await attempt(
        `export const go = () => new Promise((resolve) => new Worker('const all = (globalThis.all = []); for (;;) all.push(new Array(1_000_000).fill(1.5))', { eval: true }).on('error', ({ code }: any) => resolve(code)))`,
      ),
    ).toBe('ERR_WORKER_OUT_OF_MEMORY');
  });
});
