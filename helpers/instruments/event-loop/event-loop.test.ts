import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Subject, startModule } from '../../judging/subject/subject.ts';
import { startBusyLoops } from '../../foundations/processes/busy-loops.ts';
import { useWorkspace } from '../../judging/subject/use-workspace.ts';
import { type Answer, ask } from '../readers/ask.ts';
import { Reader } from '../readers/reader.ts';
import { holdLoop } from './hold-loop.ts';
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
  let turn = 0;
  export const serve = (status: number) => new Promise<number>((resolve) => {
    setImmediate(function count() {
      turn++;
      setImmediate(count);
    });
    const server = createServer((req, res) => {
      if (req.url === '/ping') res.writeHead(status, { 'x-turn': turn }).end();
    }).listen(0, '127.0.0.1', () => resolve(server.address().port));
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

test.skipIf(process.platform === 'win32')('what comes while the loop is held is found at once', async () => {
  await using subject = await start();
  const port = await subject.evaluate((kata) => kata.serve(200));
  type Told = Pick<Answer, 'headers'>;
  const turnsBetween = (all: readonly Told[]) => {
    const turns = all.map(({ headers }) => Number(headers['x-turn']));
    return Math.max(...turns) - Math.min(...turns);
  };
  let answers = 0;
  const asked: Promise<Told>[] = [];
  using readers = new DisposableStack();
  await using loop = await holdLoop(subject, workspace);
  for (let count = 0; count < 5; count++) {
    const reader = readers.use(new Reader(port, '/ping'));
    await reader.sent;
    asked.push(reader.head().finally(() => answers++));
  }
  expect(answers, 'answers while the loop was held').toBe(0);
  await loop.release();
  const together = await Promise.all(asked);
  const inARow: Answer[] = [];
  for (let count = 0; count < 5; count++) inARow.push(await ask(port, '/ping'));

  expect(turnsBetween(together), 'turns from the first to the last of five, on five new connections').toBeLessThan(5);
  expect(turnsBetween(inARow), 'the same for five that were asked one after the other').toBeGreaterThan(4);
});

test.skipIf(process.platform === 'win32')(
  'a process that ends while its loop is held says so at the release',
  async () => {
    const subject = await start();
    const loop = await holdLoop(subject, workspace);
    await subject[Symbol.asyncDispose]();
    await expect(loop.release()).rejects.toThrow('had its process ended');
  },
);

let modules = 0;

async function start(): Promise<Subject<Kata>> {
  const module = join(workspace, `module-${++modules}.ts`);
  await writeFile(module, source);
  return await startModule<Kata>(module, { needs: ['net', 'read-files'], workspace });
}

function hashingMs(megabytes: number): number {
  const before = process.threadCpuUsage();
  createHash('sha256')
    .update(Buffer.alloc(megabytes * mebibyte))
    .digest();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}
