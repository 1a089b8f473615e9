import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compileFunction } from 'node:vm';
import { afterAll, describe, expect, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { startModule } from './subject.ts';

// Each is a module that tries to leave its process, or to answer in the judge's place.

const folder = await testFolder(afterAll);
let written = 0;

/** What `go` of a module answers, or the words with which it was refused. */
async function attempt(source: string): Promise<unknown> {
  const file = join(folder, `module-${++written}.ts`);
  await writeFile(file, source);
  return await startModule<{ go(): unknown }>(file, { needs: ['net'], workspace: folder }).then(
    async (subject) => {
      await using _subject = subject;
      return await subject.evaluate(async (kata) => await kata.go()).catch(({ message }: Error) => message);
    },
    ({ message }: Error) => message,
  );
}

/**
 * What each of Node's modules may do to files, and what holds it. A Node that brings one which is not here fails the test below:
 * find out whether it asks the permission model before it touches a file.
 */
const heldBy: Record<string, readonly string[]> = {
  'the permission model': [
    'child_process',
    'cluster',
    'fs',
    'fs/promises',
    'inspector',
    'inspector/promises',
    'module',
    'process',
    'repl',
    'sys',
    'trace_events',
    'wasi',
    'worker_threads',
    'node:ffi',
    'node:sea',
    'node:test',
    'node:test/reporters',
    'crypto',
    'tls',
    '_tls_common',
    '_tls_wrap',
    'https',
    'http2',
    'v8',
    'os',
  ],
  'that it touches no file': [
    '_http_agent',
    '_http_client',
    '_http_common',
    '_http_incoming',
    '_http_outgoing',
    '_http_server',
    '_stream_duplex',
    '_stream_passthrough',
    '_stream_readable',
    '_stream_transform',
    '_stream_wrap',
    '_stream_writable',
    'assert',
    'assert/strict',
    'async_hooks',
    'buffer',
    'console',
    'constants',
    'dgram',
    'diagnostics_channel',
    'dns',
    'dns/promises',
    'domain',
    'events',
    'http',
    'net',
    'path',
    'path/posix',
    'path/win32',
    'perf_hooks',
    'punycode',
    'querystring',
    'readline',
    'readline/promises',
    'stream',
    'stream/consumers',
    'stream/promises',
    'stream/web',
    'string_decoder',
    'timers',
    'timers/promises',
    'tty',
    'url',
    'util',
    'util/types',
    'vm',
    'zlib',
    'quic',
    'node:quic',
    'node:vfs',
    'node:stream/iter',
    'node:zlib/iter',
  ],
};

test('every module of Node that a kata’s module can load is known, and none opens files behind the model', async () => {
  const seen = (await attempt(
    `import { builtinModules } from 'node:module'; export const go = () => builtinModules;`,
  )) as string[];

  const known = new Set(Object.values(heldBy).flat());
  expect(seen.length).toBeGreaterThan(50);
  expect(seen.filter((name) => !known.has(name))).toEqual([]);
  expect(seen).not.toContain('node:sqlite');
});

const target = join(folder, 'written-by-a-module');
describe('leaving the process', () => {
  test.for([
    [
      'node:sqlite',
      `export const go = async () => { const { DatabaseSync } = await import('node:sqlite'); new DatabaseSync(${JSON.stringify(target)}).exec('create table a (b)'); }`,
    ],
    [
      'getBuiltinModule of node:sqlite',
      `export const go = () => { const { DatabaseSync } = process.getBuiltinModule('node:sqlite'); new DatabaseSync(${JSON.stringify(target)}); }`,
    ],
    [
      'flags of V8 that write',
      `import v8 from 'node:v8'; export const go = () => v8.setFlagsFromString('--redirect-code-traces-to=' + ${JSON.stringify(target)});`,
    ],
    [
      'the same by name',
      `import { setFlagsFromString } from 'node:v8'; export const go = () => setFlagsFromString('--trace-turbo-path=' + ${JSON.stringify(target)});`,
    ],
    [
      'fs.cpSync',
      `import { cpSync } from 'node:fs'; export const go = () => cpSync(import.meta.filename, ${JSON.stringify(target)});`,
    ],
    [
      'fs.promises.cp',
      `import { cp } from 'node:fs/promises'; export const go = () => cp(import.meta.filename, ${JSON.stringify(target)});`,
    ],
    ['os.setPriority', `import { setPriority } from 'node:os'; export const go = () => setPriority(process.ppid, 5);`],
    [
      'a Unix socket by connect',
      `import { connect } from 'node:net'; export const go = () => { connect('/var/run/docker.sock'); }`,
    ],
    [
      'a Unix socket by http',
      `import { request } from 'node:http'; export const go = () => { request({ socketPath: '/var/run/docker.sock' }).end(); }`,
    ],
    [
      'a Unix socket of its own',
      `import { createServer } from 'node:net'; export const go = () => { createServer().listen(${JSON.stringify(target)}); }`,
    ],
    [
      'a Unix socket by its handle',
      `export const go = () => { const Pipe = (process.stdout as any)._handle.constructor; new Pipe(1).bind(${JSON.stringify(target)}); }`,
    ],
    [
      'a package that no kata has',
      `import { createRequire } from 'node:module'; export const go = () => createRequire(process.cwd() + '/x.js')('./node_modules/' + ['vit', 'est'].join('') + '/package.json').version;`,
    ],
    ['hooks of promises', `import { createHook } from 'node:async_hooks'; export const go = () => { createHook({}); }`],
    [
      'hooks of promises by V8',
      `import v8 from 'node:v8'; export const go = () => { v8.promiseHooks.onInit(() => {}); }`,
    ],
    [
      'a look at objects of others',
      `import v8 from 'node:v8'; export const go = () => v8.queryObjects(Uint8Array, { format: 'summary' } as never);`,
    ],
    ['a signal', `export const go = () => process.kill(process.ppid, 0);`],
    [
      'hooks',
      `import { registerHooks } from 'node:module'; export const go = () => { registerHooks({ load: (url, context, next) => next(url, context) }); }`,
    ],
    [
      'its own starter',
      `import { readFileSync } from 'node:fs'; export const go = () => readFileSync(${JSON.stringify(join(repositoryRoot, 'katas/event-emitter/event-emitter.ts'))}, 'utf8');`,
    ],
  ] as const)('%s is refused', async ([, source]) => {
    expect(await attempt(source)).toMatch(
      /not open to a kata's module|restricted|No such built-in|Cannot destructure|Cannot read properties of undefined|is not a function|NODE_MODULE_NOT_FOUND/,
    );
    expect(existsSync(target)).toBe(false);
  });
});

describe('answering in the judge’s place', () => {
  test.for([
    ['eval', 'globalThis.eval = () => () => 42;'],
    ['Proxy', 'globalThis.Proxy = class { constructor() { return { go: () => 42 }; } } as never;'],
    ['a method of arrays', 'Array.prototype.map = () => [42] as never;'],
    ['a method of promises', 'Promise.prototype.then = function () { return 42 as never; };'],
    ['JSON', 'JSON.stringify = () => "42";'],
    ['a global of Node', 'globalThis.setImmediate = ((fn: () => void) => fn()) as never;'],
    ['by definition', 'Object.defineProperty(Array.prototype, "push", { value: () => 42 });'],
    ['a function of fs', 'import fs from "node:fs"; fs.readFile = (() => 42) as never;'],
  ] as const)('a module cannot replace %s', async ([, source]) => {
    expect(await attempt(`${source}\nexport const go = () => 'its own';`)).toMatch(
      /Cannot (?:assign to read only property|redefine property)/,
    );
  });

  test.for([
    ['a then for all objects', 'Object.defineProperty(Object.prototype, "then", { get() { return undefined; } });'],
    ['what counts as an error', 'Object.defineProperty(Error, Symbol.hasInstance, { value: () => true });'],
    ['what counts as a wrong type', 'Object.defineProperty(TypeError, Symbol.hasInstance, { value: () => true });'],
    [
      'how messages are written',
      'import v8 from "node:v8"; (v8 as any).DefaultSerializer.prototype.writeValue = () => 42;',
    ],
    [
      'how messages are signed',
      'import { createHmac, Hmac } from "node:crypto"; const [key] = Object.getOwnPropertySymbols(createHmac("sha256", "x")); Object.defineProperty(Hmac.prototype, key!, { set() {} });',
    ],
    [
      'how messages are signed, below',
      'import { createHmac } from "node:crypto"; const hmac = createHmac("sha256", "x") as any; const [key] = Object.getOwnPropertySymbols(hmac); Object.getPrototypeOf(hmac[key!]).init = () => 42;',
    ],
    [
      'what Hmac inherits',
      'import { createHmac } from "node:crypto"; const hmac = createHmac("sha256", "x"); const [key] = Object.getOwnPropertySymbols(hmac); Object.defineProperty(Object.getPrototypeOf(Object.getPrototypeOf(hmac)), key!, { set() {} });',
    ],
    [
      'a method that emitters lack',
      'import { EventEmitter } from "node:events"; (EventEmitter.prototype as any).added = () => 42;',
    ],
  ] as const)('a module cannot add %s', async ([, source]) => {
    expect(await attempt(`${source}\nexport const go = () => 'its own';`)).toMatch(
      /object is not extensible|Cannot (?:assign to read only property|redefine property)/,
    );
  });

  test.for([
    ['Buffer', 'Buffer.concat = () => Buffer.alloc(1);', 'concat, in Buffer'],
    ['AbortSignal', 'AbortSignal.timeout = () => new AbortController().signal;', 'timeout, in AbortSignal'],
    ['EventTarget', 'EventTarget.prototype.dispatchEvent = () => true;', 'dispatchEvent, in EventTarget.prototype'],
    ['Object.prototype', 'Object.prototype.toString = () => "42";', 'toString, in prototype of Object'],
    ['patterns', 'RegExp.prototype.test = () => true;', 'test, in prototype of RegExp'],
    ['patterns, or adds one,', '(RegExp.prototype as any).then = () => 42;', 'then, in prototype of RegExp'],
    [
      'Node’s emitters',
      'import { EventEmitter } from "node:events"; EventEmitter.prototype.emit = () => true;',
      'emit, in ',
    ],
    [
      'Node’s streams',
      'import { Readable } from "node:stream"; Readable.prototype.pipe = ((to: unknown) => to) as never;',
      'pipe, in ',
    ],
  ] as const)('a module that replaces a method of %s is named', async ([, source, what]) => {
    const said = await attempt(`${source}\nexport const go = () => 'its own';`);

    expect(said).toContain(`replaced ${what}`);
  });

  test('a pattern costs a module no more than it costs elsewhere', async () => {
    const source = `const text = 'GET /a/b?c=1 200 17\\r\\n'.repeat(5_000);
      export const go = () => {
        const runs = Array.from({ length: 9 }, () => {
          const before = process.cpuUsage();
          text.split(/\\r?\\n/);
          text.replace(/\\d+/g, 'x');
          const { user, system } = process.cpuUsage(before);
          return user + system;
        });
        return Math.min(...runs);
      };`;
    const go = compileFunction(`${source.replace('export const', 'const')} return go();`) as () => number;

    // 22 times as much where the object that all patterns inherit from is frozen.
    expect(Number(await attempt(source)) / go()).toBeLessThan(5);
  });

  test('what correct modules do to the objects of Node and of the language is left alone', async () => {
    const source = `import { EventEmitter } from 'node:events';
      import { Transform } from 'node:stream';
      import { inherits } from 'node:util';
      class Numbers extends Array<number> { override map = (() => [7]) as never; }
      class Failure extends Error { override name = 'Failure'; override toString() { return 'F'; } }
      function Old(this: unknown) { Transform.call(this as Transform); }
      inherits(Old, Transform);
      Old.prototype._transform = function (chunk: unknown, _encoding: unknown, done: (error: null, chunk: unknown) => void) { done(null, chunk); };
      EventEmitter.defaultMaxListeners = 20;
      const bare = { toString: () => 'bare' };
      const error = new Error('x');
      error.name = 'Renamed';
      error.message = 'changed';
      function Stack() {}
      Stack.prototype = Object.create(Array.prototype);
      Stack.prototype.constructor = Stack;
      for (const wrong of [new TypeError('x'), new RangeError('x'), new AggregateError([], 'x'), new SyntaxError('x')]) Object.assign(wrong, { name: 'Renamed', message: 'changed' });
      Error.stackTraceLimit = 50;
      export const go = () => [new Numbers(1, 2).map(String), new Failure('x').toString(), String(bare), error.name, error.message, typeof Old.prototype._transform];`;

    expect(await attempt(source)).toEqual([[7], 'F', 'bare', 'Renamed', 'changed', 'function']);
  });
});
