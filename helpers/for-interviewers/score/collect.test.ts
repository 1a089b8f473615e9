import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip, gzipSync } from 'node:zlib';
import { createWriteStream } from 'node:fs';
import { Header } from 'tar';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { type CollectLimits, collect, collectLimits } from './collect.ts';

const wanted = ['one', 'two'];
const right = 'export const add = (a: number, b: number) => a + b;\n';
const isPosix = process.platform !== 'win32';

const root = await testFolder(afterAll);
let candidate: string;
let count = 0;

beforeEach(async () => {
  candidate = join(root, `candidate-${++count}`);
  await mkdir(candidate);
});

describe('a folder', () => {
  test('each kata’s file is taken, byte by byte, and nothing else', async () => {
    await put('katas/one/one.ts', right);
    await put('katas/two/two.ts', '// é\r\n');
    await put('katas/two/helper.ts', 'secret');

    expect(await taken()).toEqual({ one: right, two: '// é\r\n' });
  });

  test('a missing kata costs that kata only', async () => {
    await put('katas/one/one.ts', right);

    expect(await taken()).toEqual({ one: right, two: 'fault: katas/two is missing.' });
  });

  test.runIf(isPosix).each([
    ['katas', 'katas is a symbolic link, which is not followed.'],
    ['katas/one', 'katas/one is a symbolic link, which is not followed.'],
    ['katas/one/one.ts', 'katas/one/one.ts is a symbolic link, which is not followed.'],
  ])('a symbolic link at %s is not followed', async (at, fault) => {
    const elsewhere = join(root, `elsewhere-${count}`);
    await put('katas/one/one.ts', right, elsewhere);
    await mkdir(join(candidate, at, '..'), { recursive: true });
    await symlink(join(elsewhere, at), join(candidate, at));

    expect((await taken())['one']).toBe(`fault: ${fault}`);
  });

  test.runIf(isPosix)('a FIFO is not opened, and nobody waits for its writer', async () => {
    await mkdir(join(candidate, 'katas/one'), { recursive: true });
    execFileSync('mkfifo', [join(candidate, 'katas/one/one.ts')]);

    expect((await taken())['one']).toBe('fault: katas/one/one.ts is not a regular file, so it was not opened.');
  });

  test.runIf(process.platform === 'linux' && process.getuid?.() === 0)('a device is not opened', async (context) => {
    await mkdir(join(candidate, 'katas/one'), { recursive: true });
    const made = spawnSync('mknod', [join(candidate, 'katas/one/one.ts'), 'c', '1', '5']);
    if (made.status !== 0) context.skip('this machine lets nobody make a device');

    expect((await taken())['one']).toBe('fault: katas/one/one.ts is not a regular file, so it was not opened.');
  });

  test('a folder of the file’s name, and a file of the folder’s', async () => {
    await mkdir(join(candidate, 'katas/one/one.ts'), { recursive: true });
    await put('katas/two', right);

    expect(await taken()).toEqual({
      one: 'fault: katas/one/one.ts is not a regular file, so it was not opened.',
      two: 'fault: katas/two is not a folder.',
    });
  });

  test('a file of 50 MB is not read', async () => {
    await put('katas/one/one.ts', '');
    await truncate(join(candidate, 'katas/one/one.ts'), 50_000_000);

    expect((await taken())['one']).toBe(
      'fault: katas/one/one.ts is 47.7 MiB long; a module of more than 1.0 MiB is not read.',
    );
  });

  test('a file of the limit’s length is taken whole', async () => {
    await put('katas/one/one.ts', 'x'.repeat(collectLimits.fileBytes));

    expect((await taken())['one']?.length).toBe(collectLimits.fileBytes);
  });

  test('a name that differs in case is told', async () => {
    await put('katas/One/one.ts', right);
    await put('katas/two/Two.ts', right);

    expect(await taken()).toEqual({
      one: 'fault: katas/one is missing; there is One, whose name differs in case.',
      two: 'fault: katas/two/two.ts is missing; there is Two.ts, whose name differs in case.',
    });
  });

  test('what is not there is bad input', async () => {
    await expect(collect(join(candidate, 'nothing'), wanted)).rejects.toThrow(/^There is no .*nothing\. Name a folder/);
  });
});

describe('an archive', () => {
  test.each(['', 'jane-katas-1a2b3c/', './'])('each kata’s file is taken from below "%s"', async (lead) => {
    const file = await archive([
      entry(`${lead}katas/`, '', 'Directory'),
      entry(`${lead}katas/one/one.ts`, right),
      entry(`${lead}katas/two/two.ts`, '// two'),
      entry(`${lead}katas/two/other.ts`, 'secret'),
    ]);

    expect(await taken(file)).toEqual({ one: right, two: '// two' });
  });

  test('a plain .tar will do', async () => {
    const file = join(candidate, 'plain.tar');
    await writeFile(file, tarOf([entry('katas/one/one.ts', right)]));

    expect((await taken(file))['one']).toBe(right);
  });

  test('entries that climb out are told and not read', async () => {
    const climbing = ['../katas/one/one.ts', '/katas/one/one.ts', 'x/../katas/one/one.ts', 'katas/../../one.ts'];
    const file = await archive([...climbing.map((path) => entry(path, 'bad')), entry('katas/two/two.ts', right)]);

    const { found, notes } = await collect(file, wanted);

    expect(shown(found)).toEqual({ one: 'fault: katas/one/one.ts is missing.', two: right });
    expect(notes).toEqual([
      '4 entries of the archive climb out of it and were not read: ../katas/one/one.ts, /katas/one/one.ts, x/../katas/one/one.ts and 1 more.',
    ]);
  });

  test.each([
    ['SymbolicLink', 'a symbolic link'],
    ['Link', 'a hard link'],
    ['CharacterDevice', 'a device'],
    ['FIFO', 'a FIFO'],
  ] as const)('a %s is not taken', async (type, words) => {
    const file = await archive([
      entry('katas/one/one.ts', '', type, /Link/.test(type) ? '/etc/passwd' : undefined),
      entry('katas/two/two.ts', right),
    ]);

    expect(await taken(file)).toEqual({
      one: `fault: katas/one/one.ts is ${words} in the archive, not a regular file.`,
      two: right,
    });
  });

  test('a file below a link is not taken', async () => {
    const file = await archive([
      entry('katas/one', '', 'SymbolicLink', '/etc'),
      entry('katas/one/one.ts', right),
      entry('katas/two/two.ts', right),
    ]);

    expect(await taken(file)).toEqual({
      one: 'fault: katas/one is a symbolic link in the archive, so nothing below it is taken.',
      two: right,
    });
  });

  test('a file that is there twice is not taken', async () => {
    const file = await archive([entry('katas/one/one.ts', right), entry('a/katas/one/one.ts', 'other')]);

    expect((await taken(file))['one']).toBe(
      'fault: katas/one/one.ts is in the archive more than once, so none is taken.',
    );
  });

  test('a name that differs in case is told', async () => {
    const file = await archive([entry('katas/One/one.ts', right)]);

    expect((await taken(file))['one']).toBe(
      'fault: katas/one/one.ts is missing; there is katas/One/one.ts, whose name differs in case.',
    );
  });

  test('a file of 50 MB is passed over, and what follows is taken', async () => {
    const file = await archive([entry('katas/one/one.ts', Buffer.alloc(50_000_000)), entry('katas/two/two.ts', right)]);

    expect(await taken(file)).toEqual({
      one: 'fault: katas/one/one.ts is 47.7 MiB long; a module of more than 1.0 MiB is not read.',
      two: right,
    });
  });

  test('a bomb of bytes is read to its limit, in flat memory', async () => {
    const limits = { ...collectLimits, sourceBytes: 100 * 1024 * 1024 };
    const file = await bomb(200);
    const before = process.memoryUsage().rss;

    const { found, notes } = await collect(file, wanted, limits);

    expect(notes).toEqual(['The archive was read only in part: unpacked it is longer than 100 MiB.']);
    expect(shown(found)['one']).toBe(right);
    expect(process.memoryUsage().rss - before, 'growth in bytes').toBeLessThan(64 * 1024 * 1024);
  });

  test('a bomb of entries is read to its limit', async () => {
    const file = await archive([
      entry('katas/one/one.ts', right),
      ...Array.from({ length: 30 }, (_, index) => entry(`${index}`, '')),
      entry('katas/two/two.ts', right),
    ]);

    const { found, notes } = await collect(file, wanted, { ...collectLimits, entries: 20 });

    expect(notes).toEqual(['The archive was read only in part: it has more than 20 entries.']);
    expect(shown(found)).toEqual({ one: right, two: 'fault: katas/two/two.ts is missing.' });
  });

  test('a bomb in a bomb is not unpacked twice', async () => {
    const file = join(candidate, 'twice.tar.gz');
    await writeFile(file, gzipSync(gzipSync(tarOf([entry('katas/one/one.ts', right)]))));

    await expect(collect(file, wanted)).rejects.toThrow(
      'cannot be read as a .tar.gz, .tar.xz, .tar or .zip file: it is packed twice.',
    );
  });

  test('reading ends in time', async () => {
    const file = await bomb(20);

    const { notes } = await collect(file, wanted, { ...collectLimits, timeMs: 1 });

    expect(notes).toEqual(['The archive was read only in part: reading it took longer than 0.001 s.']);
  });

  test('one that is cut off gives what is whole in it', async () => {
    const file = join(candidate, 'cut.tar.gz');
    const whole = tarOf([entry('katas/one/one.ts', right), entry('katas/two/two.ts', 'x'.repeat(5000))]);
    await writeFile(file, gzipSync(whole.subarray(0, 3000)));

    const result = await taken(file);

    expect(result['one']).toBe(right);
    expect(result['two']).toMatch(/^fault: /);
  });

  test.each(['no archive at all', ''])('what is no archive is bad input: "%s"', async (text) => {
    const file = join(candidate, 'text.tar.gz');
    await writeFile(file, text);

    await expect(collect(file, wanted)).rejects.toThrow(
      /(?:cannot be read as|is not) a \.tar\.gz, \.tar\.xz, \.tar or \.zip file: /,
    );
  });
});

describe('what else a candidate may send', () => {
  test('files beside each other, without their folders', async () => {
    await put('one.ts', right);
    await put('notes.md', 'x');

    const { found, isFlat } = await collect(candidate, wanted);

    expect({ isFlat, ...shown(found) }).toEqual({ isFlat: true, one: right, two: 'fault: two.ts is missing.' });
  });

  test.each(['jane/katas/one/one.ts', 'jane/one.ts'])('one folder too many: %s', async (path) => {
    await put(path, right);
    await put('.DS_Store', '');

    expect((await taken())['one']).toBe(right);
  });

  test('of two folders none is taken', async () => {
    await put('jane/katas/one/one.ts', right);
    await put('joe/katas/one/one.ts', right);

    expect((await taken())['one']).toBe('fault: katas is missing.');
  });

  test('the kata’s own file; one of another name is bad input', async () => {
    await put('two.ts', right);
    await put('answer.ts', right);

    expect(await taken(join(candidate, 'two.ts'))).toEqual({ one: 'fault: one.ts is missing.', two: right });
    await expect(collect(join(candidate, 'answer.ts'), wanted)).rejects.toThrow(
      'answer.ts has no kata’s name; rename it to <kata>.ts, for example one.ts.',
    );
  });

  test.each(['katas/one/', 'jane/katas/one/', '', 'jane/'])(
    'a .tar.gz, a .tar.xz and a .zip, below "%s"',
    async (lead) => {
      const path = `${lead}one.ts`;
      await put(`in/${path}`, right);
      await put(`in/${lead}handout.json`, '{}');
      const top = path.split('/')[0]!;
      const run = (command: string, ...args: string[]) =>
        execFileSync(command, args, { cwd: join(candidate, 'in'), stdio: 'ignore' });
      run('tar', '-czf', '../a.tar.gz', top);
      run('tar', '-cJf', '../a.tar.xz', top);
      run('zip', '-qr', '../a.zip', top);

      for (const name of ['a.tar.gz', 'a.tar.xz', 'a.zip'])
        expect((await taken(join(candidate, name)))['one'], name).toBe(right);
    },
  );

  test('of a .zip no link is taken, and no file beyond the limit', async () => {
    await mkdir(join(candidate, 'in/katas/one'), { recursive: true });
    await symlink('/etc/passwd', join(candidate, 'in/katas/one/one.ts'));
    await put('in/katas/two/two.ts', 'x'.repeat(collectLimits.fileBytes + 1));
    execFileSync('zip', ['-qry', '../a.zip', 'katas'], { cwd: join(candidate, 'in') });

    expect(await taken(join(candidate, 'a.zip'))).toEqual({
      one: 'fault: katas/one/one.ts is a symbolic link in the archive, not a regular file.',
      two: 'fault: katas/two/two.ts is 1.0 MiB long; a module of more than 1.0 MiB is not read.',
    });
  });

  test('a git bundle', async () => {
    git('init', '-q', '-b', 'main');
    await put('katas/one/one.ts', right);
    await put('handout.json', '{"katas": ["one"]}');
    const told = commit();
    git('bundle', 'create', '-q', '../jane.bundle', '--all');

    const collected = await collect(join(candidate, '../jane.bundle'), wanted);

    expect(shown(collected.found)['one']).toBe(right);
    expect(collected).toMatchObject({ kind: 'git', commit: told, manifest: '{"katas": ["one"]}' });
  });
});

describe('a git repository', () => {
  test('the file of a branch is taken, and its commit is told', async () => {
    git('init', '-q', '-b', 'main');
    await put('katas/one/one.ts', right);
    const first = commit();
    await put('katas/one/one.ts', 'later');
    commit();
    git('branch', 'early', first);

    const { found, commit: told, kind } = await collect(`${candidate}#early`, wanted);

    expect(shown(found)).toEqual({ one: right, two: 'fault: katas/two is missing.' });
    expect({ told, kind }).toEqual({ told: first, kind: 'git' });
    for (const latest of [`file://${candidate}`, `${candidate}#HEAD`])
      expect(shown((await collect(latest, wanted)).found)['one'], latest).toBe('later');
  });

  test.runIf(isPosix)('links, submodules and large files are not taken, from the tree as it is', async () => {
    git('init', '-q', '-b', 'main');
    await mkdir(join(candidate, 'katas/one'), { recursive: true });
    await symlink('/etc/passwd', join(candidate, 'katas/one/one.ts'));
    await put('katas/two/two.ts', 'x'.repeat(20_000_000));
    const first = commit();
    git('rm', '-q', '-r', '--cached', 'katas/one');
    git('update-index', '--add', '--cacheinfo', `160000,${first},katas/one`);
    git('-c', 'user.name=x', '-c', 'user.email=x@localhost', 'commit', '-q', '-m', 'x');

    expect(shown((await collect(`${candidate}#${first}`, wanted)).found)).toEqual({
      one: 'fault: katas/one/one.ts is a symbolic link, which is not followed.',
      two: 'fault: katas/two/two.ts is 19.1 MiB long; a module of more than 1.0 MiB is not read.',
    });
    expect(shown((await collect(`${candidate}#main`, wanted)).found)['one']).toBe(
      'fault: katas/one is a submodule, which is not fetched.',
    );
  });

  test('nothing of the repository’s is run', async () => {
    git('init', '-q', '-b', 'main');
    await put('katas/one/one.ts', right);
    await put('.gitattributes', '* filter=mine\n');
    commit();
    const sign = join(root, `sign-${count}`);
    const touch = `touch '${sign}'`;
    for (const name of ['post-checkout', 'pre-commit', 'reference-transaction', 'post-merge'])
      await writeFile(join(candidate, '.git/hooks', name), `#!/bin/sh\n${touch}\n`, { mode: 0o755 });
    for (const key of ['core.fsmonitor', 'uploadpack.packObjectsHook', 'core.sshCommand', 'filter.mine.smudge'])
      git('config', key, touch);

    const { found } = await collect(`${candidate}#main`, wanted);

    expect(shown(found)['one']).toBe(right);
    expect(() => readFileSync(sign), 'a file that any of its commands would have made').toThrow('ENOENT');
  });

  test.each(['ext::sh -c touch% kata-ext', '#--upload-pack=x', '#a..b', '#'])('%s is refused', async (suffix) => {
    const source = suffix.startsWith('ext') ? suffix : `${candidate}${suffix}`;

    await expect(collect(source, wanted)).rejects.toThrow(/^There is no |is not a branch, tag or commit/);
  });

  test('an address that asks for a password is told at once, without the one that was in it', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;

    const failure = await collect(`http://jane:hunter2@127.0.0.1:${port}/katas.git#main`, wanted).catch(String);
    server.close();

    expect(failure).toContain(`http://127.0.0.1:${port}/katas.git#main cannot be fetched`);
    expect(failure).not.toContain('hunter2');
  });

  test('a server that never answers ends in time', async () => {
    const server = createServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;

    const failure = collect(`http://127.0.0.1:${port}/katas.git`, wanted, { ...collectLimits, timeMs: 500 });
    await expect(failure).rejects.toThrow('cannot be fetched: it took longer than 0.5 s.');
    server.closeAllConnections();
    server.close();
  });

  test.runIf(isPosix)('a repository of too many bytes is not fetched', async () => {
    git('init', '-q', '-b', 'main');
    await put('katas/one/one.ts', right);
    await writeFile(join(candidate, 'large'), Buffer.from(Array.from({ length: 400_000 }, () => Math.random() * 256)));
    commit();
    const limits: CollectLimits = { ...collectLimits, sourceBytes: 100_000 };

    const failure = await collect(`${candidate}#main`, wanted, limits).catch(String);

    expect(failure).toContain('cannot be fetched: it is too large.');
  });
});

async function put(path: string, text: string, where = candidate): Promise<void> {
  await mkdir(join(where, path, '..'), { recursive: true });
  await writeFile(join(where, path), text);
}

type Result = Record<string, string>;

async function taken(source = candidate): Promise<Result> {
  return shown((await collect(source, wanted)).found);
}

function shown(found: Awaited<ReturnType<typeof collect>>['found']): Result {
  return Object.fromEntries(
    [...found].map(([slug, one]) => [slug, 'fault' in one ? `fault: ${one.fault}` : one.bytes.toString('utf8')]),
  );
}

type Type = ConstructorParameters<typeof Header>[0] extends infer Data
  ? Data extends { type?: infer T }
    ? T
    : never
  : never;

/** One entry as tar writes it, whatever its path and kind. */
function entry(path: string, content: string | Buffer, type: Type = 'File', linkpath?: string): Buffer {
  const data = Buffer.from(content);
  const header = new Header({ path, type, size: data.length, mode: 0o644, ...(linkpath && { linkpath }) } as never);
  header.encode();
  return Buffer.concat([header.block!, data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}

function tarOf(entries: readonly Buffer[]): Buffer {
  return Buffer.concat([...entries, Buffer.alloc(1024)]);
}

async function archive(entries: readonly Buffer[]): Promise<string> {
  const file = join(candidate, 'candidate.tar.gz');
  await writeFile(file, gzipSync(tarOf(entries), { level: 1 }));
  return file;
}

/** An archive with a right file first and then `mebibytes` of nothing, a thousandth as long. */
async function bomb(mebibytes: number): Promise<string> {
  const file = join(candidate, 'bomb.tar.gz');
  const zeros = Buffer.alloc(1024 * 1024);
  const header = new Header({ path: 'zeros', type: 'File', size: mebibytes * zeros.length, mode: 0o644 });
  header.encode();
  async function* parts() {
    yield entry('katas/one/one.ts', right);
    yield header.block!;
    for (let count_ = 0; count_ < mebibytes; count_++) yield zeros;
  }
  await pipeline(Readable.from(parts()), createGzip({ level: 1 }), createWriteStream(file));
  return file;
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: candidate, encoding: 'utf8', env: { ...process.env, HOME: root } }).trim();
}

function commit(): string {
  git('add', '-A');
  git('-c', 'user.name=x', '-c', 'user.email=x@localhost', 'commit', '-q', '-m', 'x');
  return git('rev-parse', 'HEAD');
}
