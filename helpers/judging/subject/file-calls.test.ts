import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useWorkspace } from './use-workspace.ts';
import { startModule } from './subject.ts';

const workspace = await useWorkspace();

const source = `import fs, { closeSync, createWriteStream, fsyncSync, futimesSync, openSync, writeFileSync } from 'node:fs';
  import { open, writeFile } from 'node:fs/promises';
  import { once } from 'node:events';
  import { promisify } from 'node:util';

  export async function makeSure(file: string) {
    const handle = await open(file, 'w');
    await handle.sync();
    await handle.datasync();
    await handle.chmod(0o600);
    await handle.utimes(1, 1);
    for (const name of ['fsync', 'fdatasync'] as const) await promisify(fs[name])(handle.fd);
    await promisify(fs.fchmod)(handle.fd, 0o600);
    fsyncSync(handle.fd);
    futimesSync(handle.fd, 1, 1);
    await handle.close();
    await writeFile(file, 'one ', { flush: true });
    const stream = createWriteStream(file, { flags: 'a', flush: true });
    stream.end('two ');
    await once(stream, 'close');
    writeFileSync(file, 'three', { flag: 'a', flush: true });
    return 'all was made sure of';
  }

  export function makeSureOfNothing(file: string): string {
    const descriptor = openSync(file);
    closeSync(descriptor);
    try {
      fsyncSync(descriptor);
      return 'done';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code!;
    }
  }

  export async function afterItsEnd(file: string): Promise<string> {
    const handle = await open(file);
    await handle.close();
    return await handle.sync().then(() => 'done', (error) => error.code);
  }`;

interface Kata {
  makeSure(file: string): Promise<string>;
  makeSureOfNothing(file: string): string;
  afterItsEnd(file: string): Promise<string>;
}

test('a module that may write can make sure of what it has written, in each way that Node has', async () => {
  const [module, output] = [join(workspace, 'module.ts'), join(workspace, 'output')];
  await writeFile(module, source);
  await using subject = await startModule<Kata>(module, { needs: ['read-files', 'write-files'], workspace });

  expect(await subject.evaluate((kata, file) => kata.makeSure(file), output)).toBe('all was made sure of');
  expect(await readFile(output, 'utf8')).toBe('one two three');
  expect(await subject.evaluate((kata, file) => kata.makeSureOfNothing(file), output)).toBe('EBADF');
  expect(await subject.evaluate((kata, file) => kata.afterItsEnd(file), output)).toBe('EBADF');
});
