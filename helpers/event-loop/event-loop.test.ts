import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Subject, startModule } from '../subject/subject.ts';
import { startBusyLoops } from '../verify/busy-loops.ts';
import { useWorkspace } from '../workspace/use-workspace.ts';
import { Pinger } from './pinger.ts';

const workspace = await useWorkspace();
const mebibyte = 1024 * 1024;
const source = `import { createHash } from 'node:crypto';
  import { createServer } from 'node:http';
  const megabyte = new Uint8Array(${mebibyte});
  export async function hash(megabytes: number, atOnce: number) {
    const hash = createHash('sha256');
    for (let done = 0; done < megabytes; done++) {
      hash.update(megabyte);
      if (done % atOnce === 0) await new Promise((resolve) => setImmediate(resolve));
      else await undefined;
    }
  }
  export const serve = (status: number) => new Promise<number>((resolve) => {
    const server = createServer((req, res) => req.url === '/ping' && res.writeHead(status).end()).listen(0, '127.0.0.1', () => resolve(server.address().port));
  });`;
interface Kata {
  hash(megabytes: number, atOnce: number): Promise<void>;
  serve(status: number): Promise<number>;
}

test.for([0, 4])(
  'a blocked event loop is found, and one that takes turns is not, beside %d busy neighbours',
  async (count) => {
    using _neighbours = startBusyLoops(count);
    await using subject = await start();
    const limitMs = hashingMs(32);
    const busiest = (megabytes: number, atOnce: number) =>
      subject.busiestTurnMs(() =>
        subject.evaluate((kata, args) => kata.hash(...args), [megabytes, atOnce] as [number, number]),
      );

    for (let round = 1; round <= 2; round++) {
      expect(await busiest(128, 128), `round ${round}: ms of CPU in one turn, 128 MB at once`).toBeGreaterThan(limitMs);
      expect(await busiest(128, 1), `round ${round}: ms of CPU in one turn, 1 MB at once`).toBeLessThan(limitMs);
    }
  },
);

test('pings are counted until one is not answered with 200', async () => {
  await using subject = await start();
  const port = (status: number) => subject.evaluate((kata, code) => kata.serve(code), status);
  using well = new Pinger(await port(200));
  using badly = new Pinger(await port(500));
  using elsewhere = new Pinger(await port(200), '/nobody-answers');

  expect(await well.answered(20)).toBe(20);
  expect(await badly.answered(20)).toBe(0);
  expect(await elsewhere.answered(20)).toBe(0);

  await subject[Symbol.asyncDispose]();
  expect(await well.answered(20)).toBe(0);
});

let modules = 0;

async function start(): Promise<Subject<Kata>> {
  const module = join(workspace, `module-${++modules}.ts`);
  await writeFile(module, source);
  return await startModule<Kata>(module, { needs: ['net'] });
}

function hashingMs(megabytes: number): number {
  const before = process.threadCpuUsage();
  createHash('sha256')
    .update(Buffer.alloc(megabytes * mebibyte))
    .digest();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}
