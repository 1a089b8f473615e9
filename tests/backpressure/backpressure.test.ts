import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { settles } from '../../helpers/foundations/waiting/until.ts';
import { noStuckDisk } from '../../helpers/instruments/disk/stuck-disk.ts';
import {
  atRest,
  bytesReadByMainThread,
  noBytesRead,
  openDescriptors,
} from '../../helpers/instruments/gauges/gauges.ts';
import { expectAtMost, expectThat, inWords } from '../../helpers/judging/verdict/expect-that.ts';
import { FileService, firstBytes } from './file-service.ts';
import {
  changeFile,
  changeWithinTheSecond,
  replaceFile,
  chartOfReading,
  difference,
  ending,
  expectSummary,
  failReads,
  hashingMs,
  megabyte,
  putOlderFile,
  smallBytes,
  summaryOf,
  summaryOfFile,
  test,
  writeSmall,
} from './stage.ts';

/** What the main thread may read itself for a summary: requests, and the judge's own orders. */
const mainThreadLimit = 8 * megabyte;
/** What may be hashed between two turns of the event loop, as CPU time. */
const turnLimit = 32 * megabyte;
/** What all slow readers together may cost in memory. */
const memoryLimit = 200 * megabyte;
/** What five summaries may read beyond one reading of the file. */
const rereadLimit = 16 * megabyte;
/** What the body of a 416 may say. */
const messageLimit = 1024;

describe('core', () => {
  test('Pings must be answered while a summary waits for its file.', async ({ serve, workspace, medium, skip }) => {
    if (noStuckDisk !== undefined) skip(noStuckDisk);
    const path = join(workspace, 'waits.bin');
    await writeSmall(path, smallBytes);
    const service = await serve(path);
    // The connection is open, so that the summary is asked for before the pings.
    const connection = await service.openConnection();
    await using disk = await service.stickDisk();

    let isAnswered = false;
    const summary = service.ask('/summary', { connection }).finally(() => (isAnswered = true));
    const pings = await service.pingsAnswered(5);
    await service.subject.turns(1000);
    await service.pingsAnswered(1);
    const wasAnswered = isAnswered;
    await disk.release();
    const { status } = await summary;

    const what = 'a summary was asked for while the disk hung';
    expect(pings, `${what}; of 5 pings meanwhile, answered`).toBe(5);
    expectThat(
      !wasAnswered,
      `${what}, so that no asynchronous read could finish, and the summary was answered all the same: the file was read synchronously, and every ping waits for as long as the disk does`,
    );
    expect(status, `${what}; its status after the disk went on`).toBe(200);
    if (noBytesRead !== undefined) return;

    // The main thread answers the pings. A thread of the pool does the asynchronous reads.
    const other = await serve(medium.path);
    const before = await bytesReadByMainThread(other.subject);
    const made = await other.ask('/summary');
    expect(made.status, 'another summary; its status').toBe(200);
    expectAtMost(
      (await bytesReadByMainThread(other.subject)) - before,
      mainThreadLimit,
      `a summary of ${inWords(medium.bytes)} was made; the thread that answers the pings read synchronously`,
    );
  });

  test('Pings must be answered while a summary is being computed.', async ({ serve, large }) => {
    const service = await serve(large.path);
    const limitMs = hashingMs(turnLimit);

    const summary = Promise.withResolvers<Awaited<ReturnType<FileService['ask']>>>();
    let isAnswered = false;
    let unanswered = 0;
    const busiestMs = await service.subject.busiestTurnMs(async () => {
      void service.ask('/summary').then((answer) => {
        isAnswered = true;
        summary.resolve(answer);
      });
      for (let ping = 0; ping < 20 && !isAnswered; ping++) unanswered += 1 - (await service.pingsAnswered(1));
      await summary.promise;
    });
    // A processor can be slower at one time than at another: the slower measurement counts.
    const turnMs = Math.max(limitMs, hashingMs(turnLimit));

    const what = `a summary of ${inWords(large.bytes)} was made`;
    expectSummary(await summary.promise, await summaryOfFile(large), what);
    expectAtMost(
      (busiestMs / turnMs) * turnLimit,
      turnLimit,
      `${what}; in one turn of the event loop, while no ping could be answered, the server used as much CPU time as it takes to hash about`,
    );
    expect(unanswered, `${what}; pings meanwhile that were not answered`).toBe(0);
  });

  test('The file must arrive byte for byte, and the summary must match it.', async ({ serve, workspace, medium }) => {
    for (const bytes of [0, 1, smallBytes]) {
      const path = join(workspace, `${bytes}.bin`);
      const content = await writeSmall(path, bytes);
      const service = await serve(path);

      const file = await service.ask('/file');
      const summary = await service.ask('/summary');

      const what = `a file of ${bytes} bytes`;
      expect([file.status, file.isComplete], `${what}; the status, and whether the answer is complete`).toEqual([
        200,
        true,
      ]);
      expect(difference(file.body, content), `${what}; the body is`).toBe('the file');
      expectSummary(summary, summaryOf(content), what);
    }

    const service = await serve(medium.path);
    const reader = service.reader('/file', { content: medium });
    const what = `a file of ${inWords(medium.bytes)}`;
    expect((await reader.head()).status, `${what}; the status`).toBe(200);
    expect(ending(await reader.rest(), medium.bytes), `${what}; the body is`).toBe('the file');
  });
});

describe('robust', () => {
  test('A reader that pauses must make the server pause, and must get the rest afterwards.', async ({
    serve,
    large,
  }) => {
    const service = await serve(large.path);
    const taken = await service.countTaken();
    using reader = await service.pausedReader({ content: large });
    using _drawn = chartOfReading(taken, reader);
    await service.expectRestraint(taken, `the reader paused after ${inWords(reader.bytes)}`);
    expect(ending(await reader.rest(), large.bytes), 'the reader paused and went on; the body is').toBe('the file');

    const range = 'bytes=1000-';
    const takenForRange = await service.countTaken();
    using ranged = await service.pausedReader({ headers: { range } });
    await service.expectRestraint(takenForRange, `a reader of ${range} paused after ${inWords(ranged.bytes)}`);
    expect((await ranged.rest()).how, `a reader of ${range} paused and went on; its body is`).toBe('complete');
  });

  test('When a reader leaves, the server must close the file at once.', async ({ serve, large }) => {
    const service = await serve(large.path);
    const before = await service.descriptorsAfterOneReader();

    const reader = await service.pausedReader();
    const taken = await service.countTaken();
    await service.leave(reader);
    await atRest(service.subject);

    const what = `a reader left after ${inWords(reader.bytes)}`;
    await service.expectRestraint(taken, what);
    await service.expectClosed(before, what);

    for (let time = 0; time < 3; time++)
      await service.ask('/file', { headers: { range: `bytes=${large.bytes}-`, connection: 'close' } });
    await service.expectClosed(before, 'three readers asked for ranges behind the end of the file, and left');
  });

  test('A read error must break the response, must not look like its end, and must spare other readers.', async ({
    subjects,
    serve,
    medium,
    folder,
    onTestFinished,
  }) => {
    onTestFinished(() => subjects.end());
    const service = await serve(medium.path);
    const kept = await service.descriptorsAfterOneReader();
    const struck = await service.pausedReader({ content: medium });
    const own = without(await openDescriptors(service.subject, medium.path), kept);
    const other = await service.pausedReader({ content: medium });
    const others = without(await openDescriptors(service.subject, medium.path), [...kept, ...own]);

    const error = await failReads(service, { kept, own, others }, folder);
    const end = await struck.rest();
    const pings = await service.pingsAnswered(3);
    await service.expectAlive(`reading the file failed after ${inWords(end.bytes)}`);
    await error.mend();

    const what = `reading the file failed after ${inWords(end.bytes)} of ${inWords(medium.bytes)}`;
    expectThat(
      end.how !== 'complete' || end.bytes === medium.bytes,
      `${what}, and the response came to its end as if that were all`,
    );
    expectThat(end.how !== 'waiting', `${what}, and the reader was left waiting`);
    expectThat(end.differsAt === undefined, `${what}, and the reader got wrong bytes from byte ${end.differsAt} on`);
    expect(pings, `${what}; of 3 pings after that, answered`).toBe(3);
    if (error.sparesOthers)
      expect(ending(await other.rest(), medium.bytes), `${what}; the body of another reader is`).toBe('the file');
    await expectNoFalseEnd(await serve(folder));
    await expectSummaryAfterError(await serve(medium.path), folder);
    const next = await service.pausedReader();
    expectThat(next.bytes > 0, `${what}, and the next reader got nothing`);
  });

  test('A missing file must be answered with 404.', async ({ serve, workspace }) => {
    const path = join(workspace, 'comes-later.bin');
    const service = await serve(path);
    const statuses = async (...paths: string[]) => {
      const answers = [];
      for (const asked of paths) answers.push((await service.ask(asked)).status);
      return answers;
    };

    const missing = await statuses('/file', '/summary', '/file');
    await service.expectAlive('there is no file');
    const pings = await service.pingsAnswered(1);
    const content = await writeSmall(path, 1000);
    const found = await statuses('/file', '/summary');
    const { body } = await service.ask('/file');

    expect(missing, 'there is no file; status of GET /file, GET /summary, GET /file').toEqual([404, 404, 404]);
    expect(pings, 'there is no file; of 1 ping, answered').toBe(1);
    expect(found, 'then the file was made; status of GET /file, GET /summary').toEqual([200, 200]);
    expect(difference(body, content), 'then the file was made; the body is').toBe('the file');
  });
});

describe('stretch', () => {
  test('HEAD must tell the length of the file without reading it.', async ({ serve, large, workspace }) => {
    const service = await serve(large.path);
    const taken = await service.countTaken();
    const connection = await service.openConnection();

    const head = await service.ask('/file', { method: 'HEAD', connection });
    const next = await service.ask('/ping', { connection });
    await atRest(service.subject);

    const what = `HEAD of a file of ${inWords(large.bytes)}`;
    expect({ status: head.status, length: head.headers['content-length'] }, what).toEqual({
      status: 200,
      length: String(large.bytes),
    });
    expect(next.status, `${what}; status of a ping on the same connection`).toBe(200);
    await service.expectRestraint(taken, what);

    const missing = await serve(join(workspace, 'not-there.bin'));
    const none = await missing.ask('/file', { method: 'HEAD' });
    await missing.expectAlive('HEAD of a missing file');
    expect(none.status, 'HEAD of a missing file; status').toBe(404);
    const emptyPath = join(workspace, 'empty.bin');
    await writeFile(emptyPath, '');
    const empty = await (await serve(emptyPath)).ask('/file', { method: 'HEAD' });
    expect({ status: empty.status, length: empty.headers['content-length'] }, 'HEAD of an empty file').toEqual({
      status: 200,
      length: '0',
    });
  });

  test('A byte range must be answered with exactly these bytes.', async ({ serve, workspace, large }) => {
    const path = join(workspace, 'ranges.bin');
    const content = await writeSmall(path, smallBytes);
    const service = await serve(path);
    const last = smallBytes - 1;
    const ranges: [range: string, from: number, to: number][] = [
      ['0-0', 0, 0],
      ['0-99', 0, 99],
      ['65536-131071', 65_536, 131_071],
      ['131070-131073', 131_070, 131_073],
      [`${last - 10}-`, last - 10, last],
      ['-5', last - 4, last],
      ['-999999', 0, last],
      [`${last}-999999`, last, last],
      // No number can hold these.
      [`7-${'9'.repeat(30)}`, 7, last],
      [`-${'9'.repeat(30)}`, 0, last],
    ];
    for (const [range, from, to] of ranges) {
      const { status, headers, body } = await service.ask('/file', { headers: { range: `bytes=${range}` } });
      const what = `bytes=${range} of a file of ${smallBytes} bytes`;
      expect({ status, 'content-range': headers['content-range'] }, what).toEqual({
        status: 206,
        'content-range': `bytes ${from}-${to}/${smallBytes}`,
      });
      expect(difference(body, content.subarray(from, to + 1)), `${what}; the body is`).toBe('the file');
    }

    const beyond = await service.ask('/file', { headers: { range: `bytes=${smallBytes}-` } });
    const what = `bytes=${smallBytes}- of a file of ${smallBytes} bytes`;
    expect({ status: beyond.status, 'content-range': beyond.headers['content-range'] }, what).toEqual({
      status: 416,
      'content-range': `bytes */${smallBytes}`,
    });
    expectAtMost(beyond.body.length, messageLimit, `${what}; the body of the 416 has`);

    const ofNothing = await service.ask('/file', { headers: { range: 'bytes=-0' } });
    expect([200, 416], `bytes=-0 of a file of ${smallBytes} bytes; the status`).toContain(ofNothing.status);

    const emptyPath = join(workspace, 'empty.bin');
    await writeSmall(emptyPath, 0);
    const empty = await (await serve(emptyPath)).ask('/file', { headers: { range: 'bytes=0-' } });
    expect([200, 416], 'bytes=0- of an empty file; the status').toContain(empty.status);

    const far = await serve(large.path);
    const taken = await far.countTaken();
    const tail = await far.ask('/file', { headers: { range: 'bytes=-1000' } });
    await atRest(far.subject);
    const whatOfTail = `bytes=-1000 of a file of ${inWords(large.bytes)}`;
    expect(difference(tail.body, large.slice(large.bytes - 1000, large.bytes)), `${whatOfTail}; the body is`).toBe(
      'the file',
    );
    await far.expectRestraint(taken, whatOfTail);
  });

  test('Fifty slow readers must cost bounded memory.', async ({ fresh, medium, workspace }) => {
    const subject = await fresh();
    await using service = await FileService.start(subject, medium.path, workspace);
    const before = await subject.heldBytes();
    const slow: ReturnType<typeof service.reader>[] = [];

    // Ten first: a server that holds the whole file for each would take gigabytes for fifty.
    for (const count of [10, 50]) {
      // The others want a part, which fits into memory once.
      const part = { headers: { range: 'bytes=0-12582911' } };
      while (slow.length < count) slow.push(service.reader('/file', slow.length < 10 ? {} : part));
      await Promise.all(slow.map((reader) => reader.take(firstBytes)));
      await atRest(subject);
      const started = slow.filter((reader) => reader.bytes > 0).length;
      expect(started, `of ${count} slow readers, those that got their first bytes`).toBe(count);
      expectAtMost(
        (await subject.heldBytes()) - before,
        memoryLimit,
        `${count} slow readers paused after ${inWords(firstBytes)}, the first ten of ${inWords(medium.bytes)}, all others of a range of 12 MB; for them the server held`,
      );
    }

    const quick = service.reader('/file', { content: medium });
    expect(ending(await quick.rest(), medium.bytes), 'beside 50 slow readers, a quick one; its body is').toBe(
      'the file',
    );
  });

  test('Concurrent summaries must read the file once, and must not outlive a change of it.', async ({
    serve,
    medium,
    workspace,
    skip,
  }) => {
    if (noBytesRead !== undefined) skip(noBytesRead);
    const shared = await serve(medium.path);
    const five = await shared.fiveSummariesHalfway();
    for (const [index, leaver] of five.leavers.entries()) await shared.leave(leaver, 4 - index);
    await five.disk.release();
    const answers = await Promise.all(five.others);
    const read = await five.taken();

    const what = 'five asked for a summary at once, and the first three left while the file was being read';
    await shared.expectAlive(what);
    const summary = await summaryOfFile(medium);
    for (const answer of answers) expectSummary(answer, summary, what);
    expectAtMost(read - medium.bytes, rereadLimit, `${what}; beyond one reading of the file, the server read`);

    for (const [how, change] of [
      ['changed', changeFile],
      ['replaced by another one of its name', replaceFile],
      ['replaced by an older one of its size', putOlderFile],
      ['changed within the second of its last change', changeWithinTheSecond],
    ] as const) {
      const path = join(workspace, `${change.name}.bin`);
      await writeSmall(path, 4 * megabyte + smallBytes);
      const changing = await serve(path);
      const early = await changing.fiveSummariesHalfway();
      const content = await change(path, smallBytes);
      const { arrived } = await changing.traffic();
      const late = changing.ask('/summary');
      await changing.untilArrived(arrived + 1);
      await early.disk.release();

      const whatOfLate = `the file was ${how} while a summary was being made; a summary asked for after that`;
      expectSummary(await late, summaryOf(content), whatOfLate);
      await Promise.all(early.others);
    }
    await expectNoOldSummary(serve, workspace);

    // One who comes when all have left, while their reading has not ended yet.
    const left = await shared.lonelySummaryHalfway();
    const before = await shared.traffic();
    const next = shared.ask('/summary');
    await shared.untilArrived(before.arrived + 1);
    // It finds the file unchanged before the reading that nobody wants any more has ended.
    await left.disk.step();
    await left.disk.release();
    const whatOfNext = 'a summary was given up midway, and somebody else asked for one';
    expectSummary(await next, summary, whatOfNext);
  });

  test('When a reader leaves while the file is being opened, the file must not stay open.', async ({
    serve,
    large,
    workspace,
    skip,
  }) => {
    if (noStuckDisk !== undefined) skip(noStuckDisk);
    const service = await serve(large.path);
    const before = await service.descriptorsAfterOneReader();
    for (const operations of [0, 1, 2]) {
      const disk = await service.stickDisk();
      const { arrived } = await service.traffic();
      const reader = service.reader('/file');
      await service.untilArrived(arrived + 1);
      for (let done = 0; done < operations; done++) await disk.step();
      await service.leave(reader);
      const taken = await service.countTaken();
      await disk.release();
      await atRest(service.subject);

      const what = `a reader left after ${operations} of the operations by which the server opens the file`;
      await service.expectRestraint(taken, what);
      await service.expectClosed(before, what);
    }
    await expectSummaryToClose(serve, workspace);
  });
});

/** Who asked for a summary leaves while its file is opened. The server may still make it. */
async function expectSummaryToClose(serve: (path: string) => Promise<FileService>, workspace: string): Promise<void> {
  const path = join(workspace, 'left-early.bin');
  await writeSmall(path, smallBytes);
  const service = await serve(path);
  const before = await service.descriptorsAfterOneReader();
  for (const operations of [0, 1, 2]) {
    const disk = await service.stickDisk();
    const { arrived } = await service.traffic();
    const reader = service.reader('/summary');
    await service.untilArrived(arrived + 1);
    for (let done = 0; done < operations && reader.bytes === 0; done++) await disk.step();
    await service.leave(reader);
    await disk.release();
    await atRest(service.subject);
    await service.expectClosed(
      before,
      `a reader of the summary left after ${operations} of the operations by which the server opens the file`,
    );
  }
}

/** Nobody asks between the change and the end of the summary that was under way. */
async function expectNoOldSummary(serve: (path: string) => Promise<FileService>, workspace: string): Promise<void> {
  for (const [how, change] of [
    ['changed', changeFile],
    ['replaced by another one of its name', replaceFile],
  ] as const) {
    const path = join(workspace, `${change.name}-alone.bin`);
    await writeSmall(path, 4 * megabyte + smallBytes);
    const service = await serve(path);
    const early = await service.fiveSummariesHalfway();
    const content = await change(path, smallBytes);
    await early.disk.release();
    await Promise.all(early.others);

    const what = `the file was ${how} while a summary was being made; a summary asked for when that one was done`;
    expectSummary(await service.ask('/summary'), summaryOf(content), what);
  }
}

/** When already the first read fails, any answer will do but a 200 that is complete. */
async function expectNoFalseEnd(service: FileService): Promise<void> {
  for (const path of ['/summary', '/file']) {
    const { status, isComplete } = await service.ask(path, { comes: settles });
    const what = `the first read of the file failed; GET ${path}`;
    await service.expectAlive(what);
    expectThat(status !== 200 || !isComplete, `${what} was answered with 200 and a complete body`);
    expect(await service.pingsAnswered(1), `${what}; of 1 ping after that, answered`).toBe(1);
  }
}

/** A summary whose file fails in the middle is no summary, and the next one must succeed. */
async function expectSummaryAfterError(service: FileService, folder: string): Promise<void> {
  if (noBytesRead !== undefined || noStuckDisk !== undefined) return;
  const five = await service.fiveSummariesHalfway();
  await atRest(service.subject);
  // None when the summary was too quick, or when the file is opened for each read: then nothing fails.
  const own = await openDescriptors(service.subject, service.file);
  const error = await failReads(service, { kept: [], own, others: [] }, folder);
  await five.disk.release();
  const [answer] = await Promise.all(five.others);

  const what = 'reading the file failed while a summary was being made';
  await service.expectAlive(what);
  await error.mend();
  const next = await service.ask('/summary');
  expect([next.status, next.isComplete], `${what}; the next one: its status, and whether it is complete`).toEqual([
    200,
    true,
  ]);
  if (answer!.status === 200 && answer!.isComplete)
    expect(answer!.body.toString(), `${what}, and it came to its end all the same`).toBe(next.body.toString());
}

function without(all: readonly number[], some: readonly number[]): number[] {
  return all.filter((one) => !some.includes(one));
}
