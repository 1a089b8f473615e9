import { createHash, randomBytes } from 'node:crypto';
import { mkdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { breakDescriptors, mendDescriptors } from '../../helpers/instruments/disk/broken-disk.ts';
import { noStuckDisk, stickDisk } from '../../helpers/instruments/disk/stuck-disk.ts';
import { holdLoop } from '../../helpers/instruments/event-loop/hold-loop.ts';
import { Pinger } from '../../helpers/instruments/event-loop/pinger.ts';
import { atRest, bytesRead, noBytesRead, openDescriptors } from '../../helpers/instruments/gauges/gauges.ts';
import { type Answer, ask } from '../../helpers/instruments/readers/ask.ts';
import { type Ending, Reader } from '../../helpers/instruments/readers/reader.ts';
import { chart } from '../../helpers/judging/verdict/chart.ts';
import { SparseFile } from '../../helpers/instruments/sparse-file/sparse-file.ts';
import { prepareSubjects } from '../../helpers/judging/subject/start-subject.ts';
import { SubjectError } from '../../helpers/judging/subject/subject-error.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { useSubject } from '../../helpers/judging/subject/use-subject.ts';
import { expectAtMost, expectThat, inWords } from '../../helpers/judging/verdict/expect-that.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { useWorkspace } from '../../helpers/judging/subject/use-workspace.ts';
import type * as Kata from '../../katas/backpressure/backpressure.ts';

const kilobyte = 1024;
const megabyte = 1024 * kilobyte;
/** What a server may read for a reader that does not take it, what the sockets between them hold included. */
const readLimit = 32 * megabyte;
/** The most that may be hashed between two turns of the event loop, as CPU time. */
const turnLimit = 32 * megabyte;
/** What fifty readers may cost in memory, 4 MB each. */
const memoryLimit = 200 * megabyte;
const firstBytes = 64 * kilobyte;
/** For what never comes. */
const summaryLimitMs = 60_000;

const workspace = await useWorkspace();
prepareSubjects('backpressure');
const { running, end: endService, aside } = useSubject<typeof Kata, Kept>('backpressure');
const folder = join(workspace, 'folder');
await mkdir(folder);
/** An odd number of bytes: no size of chunk fits. */
const large = await SparseFile.create(join(workspace, 'large.bin'), 256 * megabyte + 7);
const largeSha256 = 'e267db49e027c5817765dbeddcf137ebca984db98071b64febc7aa7fd15e065f';
/** More than a server may read ahead, and more than half of what two summaries of it may read. */
const medium = await SparseFile.create(join(workspace, 'medium.bin'), 40 * megabyte + 7);
const mediumSha256 = 'b1a8a30462b16e57d4154dc36ebfeefca1c457dd21933b46f5e99761c92843b5';

describe('core', () => {
  beforeAll(() => {
    summarizeLarge.begin();
    serveFifty.begin();
  });

  test('Pings are answered while a summary waits for its file.', async ({ skip }) => {
    if (noStuckDisk !== undefined) skip(noStuckDisk);
    const small = await smallFile(300_001);
    const { subject, port, pinger } = await service(small.path);
    await using disk = await stickDisk(subject, workspace);
    // This connection is open, so that the summary is asked for before the pings.
    const agent = await openConnection(port);

    let isAnswered = false;
    const summary = ask(port, '/summary', { agent, limitMs: summaryLimitMs }).finally(() => (isAnswered = true));
    const answered = await pinger.answered(5);
    await subject.turns(1000);
    await pinger.answered(1);
    const wasAnswered = isAnswered;
    await disk.release();
    const { status } = await summary;

    const what = 'a summary was asked for while the disk hung';
    expect(answered, `${what}; of 5 pings meanwhile, answered`).toBe(5);
    expectThat(
      !wasAnswered,
      `${what}, and with it all asynchronous reads of the file; the summary was made all the same: it was read synchronously, and each ping waits for as long as the disk does`,
    );
    expect(status, `${what}; its status after the disk went on`).toBe(200);
  });

  test('Pings are answered while a summary is being worked out.', async () => {
    const { status, busiestBytes, pings } = await summarizeLarge.done();

    const what = `a summary of ${inWords(large.bytes)} was made`;
    expect(status, `${what}; its status`).toBe(200);
    expectAtMost(
      busiestBytes,
      turnLimit,
      `${what}; in one turn of the event loop, while no ping could be answered, the server used as much CPU time as it takes to hash about`,
    );
    expect(pings, `${what}; pings meanwhile that were not answered`).toBe(0);
  });

  test('The file arrives byte for byte, and its summary is that of these bytes.', async () => {
    for (const bytes of [0, 1, 300_001]) {
      const { path, content } = await smallFile(bytes);
      const { port } = await service(path);
      const [file, summary] = [await ask(port, '/file'), await ask(port, '/summary')];
      const what = `a file of ${bytes} bytes`;
      expect([file.status, file.isComplete], `${what}; the status, and whether the answer came to its end`).toEqual([
        200,
        true,
      ]);
      expect(difference(file.body, content), `${what}; the body is`).toBe('the file');
      expectSummary(summary, { bytes, sha256: sha256(content) }, what);
    }

    const { port } = await service(medium.path);
    using reader = new Reader(port, '/file', { content: medium });
    const what = `a file of ${inWords(medium.bytes)}`;
    expect((await reader.head()).status, `${what}; the status`).toBe(200);
    expect(ending(await reader.rest(), medium), `${what}; the body is`).toBe('the file');
    const { answer } = await summarizeLarge.done();
    expectSummary(answer, { bytes: large.bytes, sha256: largeSha256 }, `a file of ${inWords(large.bytes)}`);
  });
});

describe('robust', () => {
  test('A reader that pauses makes the server pause, and gets the rest when it goes on.', async () => {
    const { subject, port } = await service(large.path);
    const taken = await intake(subject);

    using reader = new Reader(port, '/file', { content: large });
    using _drawn = chartOfReading(taken, reader);
    await reader.take(firstBytes);
    await atRest(subject);
    expectAtMost(
      await taken(),
      readLimit,
      `the reader paused after ${inWords(reader.bytes)}; the server went on to ${intakeVerb}`,
    );

    expect(ending(await reader.rest(), large), 'the reader paused and went on; the body is').toBe('the file');
  });

  test('A reader that leaves closes the file at once.', async () => {
    const { subject, port } = await service(large.path);
    const before = await descriptorsAfterOneReader(subject, port, large.path);

    using reader = new Reader(port, '/file');
    await reader.take(firstBytes);
    await atRest(subject);
    const taken = await intake(subject);
    await leave(subject, reader);
    await atRest(subject);

    const what = `a reader left after ${inWords(reader.bytes)}`;
    expectAtMost(await taken(), readLimit, `${what}; the server went on to ${intakeVerb}`);
    await expectClosed(subject, before, what);
  });

  test('A read error in the middle breaks that response only, and is not taken for its end.', async () => {
    onTestFinished(endService);
    const { subject, port, pinger } = await service(medium.path);
    const before = await descriptorsAfterOneReader(subject, port, medium.path);
    using struck = new Reader(port, '/file', { content: medium });
    await struck.take(firstBytes);
    await atRest(subject);
    const own = without(await openDescriptors(subject, medium.path), before);
    using other = new Reader(port, '/file', { content: medium });
    await other.take(firstBytes);
    await atRest(subject);
    // A handle may be kept for all, or for those who are there at one time.
    const isShared = without(await openDescriptors(subject, medium.path), [...before, ...own]).length === 0;

    const isOwn = own.length > 0;
    const away = `${medium.path}.away`;
    await breakDescriptors(subject, isOwn ? own : before, medium.path, folder);
    // A server that opens the file for every read has none open now: it misses the file itself.
    if (!isOwn) await rename(medium.path, away);
    const end = await struck.rest();
    const pings = await pinger.answered(3);
    if (!isOwn) await rename(away, medium.path);

    const what = `reading the file failed after ${inWords(end.bytes)} of ${inWords(medium.bytes)}`;
    await expectAlive(subject, what);
    await mendDescriptors(subject, isOwn ? (isShared ? own : []) : before, medium.path, folder);
    if (end.how === 'complete' && end.bytes !== medium.bytes)
      expectThat(false, `${what}, and the response came to its end as if that were all`);
    expectThat(end.how !== 'waiting', `${what}, and the reader was left waiting`);
    expectThat(
      end.differsAt === undefined,
      `${what}, and the reader got bytes that are not the file's from byte ${end.differsAt} on`,
    );
    expect(pings, `${what}; of 3 pings after that, answered`).toBe(3);
    if (isOwn && !isShared)
      expect(ending(await other.rest(), medium), `${what}; the body of another reader is`).toBe('the file');
    await expectUnreadable();
    await expectSummaryAfterError();
    using next = new Reader(port, '/file', { content: medium });
    await next.take(firstBytes);
    expectThat(next.bytes > 0, `${what}, and the next reader got nothing`);
  });

  test('A missing file is 404.', async () => {
    const path = join(workspace, 'comes-later.bin');
    onTestFinished(() => rm(path, { force: true }));
    const { subject, port, pinger } = await service(path);

    const missing = [await ask(port, '/file'), await ask(port, '/summary'), await ask(port, '/file')];
    await expectAlive(subject, 'there is no file');
    const pings = await pinger.answered(1);
    const { content } = await smallFile(1000, path);
    const found = [await ask(port, '/file'), await ask(port, '/summary')];

    expect(statuses(missing), 'there is no file; status of GET /file, GET /summary, GET /file').toEqual([
      404, 404, 404,
    ]);
    expect(pings, 'there is no file; of 1 ping, answered').toBe(1);
    expect(statuses(found), 'then the file was made; status of GET /file, GET /summary').toEqual([200, 200]);
    expect(difference(found[0]!.body, content), 'then the file was made; the body is').toBe('the file');
  });
});

describe('stretch', () => {
  test('HEAD tells the length of the file and reads nothing of it.', async () => {
    const { subject, port } = await service(large.path);
    const taken = await intake(subject);
    const agent = await openConnection(port);

    const head = await ask(port, '/file', { method: 'HEAD', agent });
    const next = await ask(port, '/ping', { agent });
    await atRest(subject);
    const missing = await service(join(workspace, 'not-there.bin'));
    const none = await ask(missing.port, '/file', { method: 'HEAD' });
    await expectAlive(subject, 'HEAD of a file, and of a missing one');

    const what = `HEAD of a file of ${inWords(large.bytes)}`;
    expect({ status: head.status, length: head.headers['content-length'] }, what).toEqual({
      status: 200,
      length: String(large.bytes),
    });
    expect(next.status, `${what}; status of a ping on the same connection`).toBe(200);
    expectAtMost(await taken(), readLimit, `${what}; the server went on to ${intakeVerb}`);
    expect(none.status, 'HEAD of a missing file; status').toBe(404);
  });

  test('A byte range is answered with these bytes only.', async () => {
    const bytes = 300_001;
    const { path, content } = await smallFile(bytes);
    const { port } = await service(path);
    const ranges: [range: string, from: number, to: number][] = [
      ['0-0', 0, 0],
      ['0-99', 0, 99],
      ['65536-131071', 65_536, 131_071],
      ['131070-131073', 131_070, 131_073],
      ['299990-', 299_990, 300_000],
      ['-5', 299_996, 300_000],
      ['-999999', 0, 300_000],
      ['300000-999999', 300_000, 300_000],
    ];

    for (const [range, from, to] of ranges) {
      const { status, headers, body } = await ask(port, '/file', { headers: { range: `bytes=${range}` } });
      const what = `bytes=${range} of a file of ${bytes} bytes`;
      expect({ status, 'content-range': headers['content-range'] }, what).toEqual({
        status: 206,
        'content-range': `bytes ${from}-${to}/${bytes}`,
      });
      expect(difference(body, content.subarray(from, to + 1)), `${what}; the body is`).toBe('the file');
    }
    const beyond = await ask(port, '/file', { headers: { range: `bytes=${bytes}-` } });
    expect(
      { status: beyond.status, 'content-range': beyond.headers['content-range'] },
      `bytes=${bytes}- of a file of ${bytes} bytes`,
    ).toEqual({ status: 416, 'content-range': `bytes */${bytes}` });

    const far = await service(large.path);
    const taken = await intake(far.subject);
    const tail = await ask(far.port, '/file', { headers: { range: 'bytes=-1000' } });
    await atRest(far.subject);
    const what = `bytes=-1000 of a file of ${inWords(large.bytes)}`;
    expect(difference(tail.body, large.slice(large.bytes - 1000, large.bytes)), `${what}; the body is`).toBe(
      'the file',
    );
    expectAtMost(await taken(), readLimit, `${what}; the server went on to ${intakeVerb}`);
  });

  test('Fifty slow readers cost bounded memory.', async () => {
    const { crowds, quick } = await serveFifty.done();

    for (const { count, started, held } of crowds) {
      expect(started, `of ${count} slow readers, those that got their first bytes`).toBe(count);
      expectAtMost(
        held,
        memoryLimit,
        `${count} slow readers paused after ${inWords(firstBytes)} of ${inWords(medium.bytes)}; for them the server held`,
      );
    }
    expect(quick, 'beside 50 slow readers, a quick one; its body is').toBe('the file');
  });

  test('Concurrent summaries read the file once.', async ({ skip }) => {
    if (noBytesRead !== undefined) skip(noBytesRead);
    const changing = await SparseFile.create(join(workspace, 'changing.bin'), medium.bytes);
    const { subject, port } = await service(changing.path);
    const taken = await intake(subject);
    await using disk = await stickDisk(subject, workspace);
    const { came } = await trafficOf(subject);
    // Five at once: who reads past the disk would otherwise be done with the first of them before the last has come.
    await using loop = await holdLoop(subject, workspace);
    using leaving = new Reader(port, '/summary');
    await leaving.sent;
    const asked: Promise<Answer>[] = [];
    for (let other = 0; other < 4; other++)
      await new Promise<void>((onSent) => asked.push(ask(port, '/summary', { limitMs: summaryLimitMs, onSent })));
    await loop.release();
    await untilCame(subject, came + 5);
    await leave(subject, leaving, 4);

    await disk.release();
    const answers = await Promise.all(asked);
    const read = await taken();
    await expectAlive(subject, 'five asked for a summary at once, and the first left');
    await expectSummariesWithoutTheFirst();
    const changed = await smallFile(1000, changing.path);
    const later = new Date(Date.now() + 10_000);
    await utimes(changing.path, later, later);
    const after = await ask(port, '/summary');

    const what = `of five who asked for a summary of ${inWords(changing.bytes)} at once, the first left`;
    for (const answer of answers) expectSummary(answer, { bytes: changing.bytes, sha256: mediumSha256 }, what);
    expectAtMost(read, medium.bytes + readLimit, `${what}; the server read`);
    expectSummary(
      after,
      { bytes: 1000, sha256: sha256(changed.content) },
      'the file was changed after that; the next summary',
    );
  });

  test('A reader that leaves while the file is being opened leaves it closed.', async ({ skip }) => {
    if (noStuckDisk !== undefined) skip(noStuckDisk);
    const { subject, port } = await service(large.path);
    const before = await descriptorsAfterOneReader(subject, port, large.path);
    await using disk = await stickDisk(subject, workspace);

    const { came } = await trafficOf(subject);
    using reader = new Reader(port, '/file');
    await untilCame(subject, came + 1);
    await leave(subject, reader);
    const taken = await intake(subject);
    await disk.release();
    await atRest(subject);

    const what = 'a reader left while the server was about to open the file';
    expectAtMost(await taken(), readLimit, `${what}; the server went on to ${intakeVerb}`);
    await expectClosed(subject, before, what);
  });
});

interface Service {
  readonly subject: Subject<typeof Kata, Kept>;
  readonly port: number;
  readonly pinger: Pinger;
}

interface Kept {
  traffic?: Traffic;
}

/** What the servers of a process have been asked. */
interface Traffic {
  /** Requests that have come. */
  came: number;
  /** Of their responses, those that have neither been sent nor lost their reader. */
  underWay: number;
}

interface Summary {
  readonly bytes: number;
  readonly sha256: string;
}

/** The summary of the large file, which two promises are about. */
const summarizeLarge = aside(async (subject) => {
  const port = await serve(subject, large.path);
  using pinger = new Pinger(port);
  await pinger.answered(1);
  const before = hashingMs(turnLimit);
  let answer: Answer | undefined;
  let pings = 0;
  const busiestMs = await subject.busiestTurnMs(async () => {
    const asked = ask(port, '/summary', { limitMs: summaryLimitMs }).then((answered) => (answer = answered));
    for (let ping = 0; ping < 20 && answer === undefined; ping++) pings += 1 - (await pinger.answered(1));
    await asked;
  });
  // The processor may be slower at one time than at another; the doubt is the module's.
  const limitMs = Math.max(before, hashingMs(turnLimit));
  return { answer: answer!, status: answer!.status, pings, busiestBytes: (busiestMs / limitMs) * turnLimit };
});

interface Crowd {
  readonly count: number;
  /** How many of them got their first bytes. */
  readonly started: number;
  /** What the server held for them then. */
  readonly held: number;
}

/** Slow readers, and at last a quick one beside them; how its body came. */
const serveFifty = aside(async (subject) => {
  const port = await serve(subject, medium.path);
  await ask(port, '/ping');
  const before = await subject.heldBytes();
  using readers = new DisposableStack();
  const slow: Reader[] = [];
  const crowds: Crowd[] = [];
  // A few first, whose files are more than the limit: a server that reads the whole file for each would take gigabytes for all.
  for (const count of [8, 50]) {
    while (slow.length < count) slow.push(readers.use(new Reader(port, '/file')));
    await Promise.all(slow.map((reader) => reader.take(firstBytes)));
    const started = slow.filter((reader) => reader.bytes > 0).length;
    await atRest(subject);
    const held = (await subject.heldBytes()) - before;
    crowds.push({ count, started, held });
    if (started < count || held > memoryLimit) return { crowds, quick: 'not asked for' };
  }
  using quick = new Reader(port, '/file', { content: medium });
  return { crowds, quick: ending(await quick.rest(), medium) };
});

/** A new server for this file. */
async function service(file: string): Promise<Service> {
  const subject = await running();
  const port = await serve(subject, file);
  const pinger = new Pinger(port);
  onTestFinished(() => pinger[Symbol.dispose]());
  await pinger.answered(1);
  return { subject, port, pinger };
}

/** A new server for this file in this process; its port. */
async function serve(subject: Service['subject'], file: string): Promise<number> {
  const port = await subject.evaluate(async (kata, path, kept) => {
    const server = kata.createFileServer(path);
    // By default 5 s: on a busy machine that lies between two questions on one connection, and the second is lost.
    server.keepAliveTimeout = 3_600_000;
    const traffic = (kept.traffic ??= { came: 0, underWay: 0 });
    server.prependListener('request', (_request, response) => {
      traffic.came++;
      traffic.underWay++;
      response.once('close', () => traffic.underWay--);
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }, file);
  return await subject.portOutside(port);
}

async function trafficOf(subject: Service['subject']): Promise<Traffic> {
  return await subject.evaluate((_kata, _args, { traffic }) => traffic!);
}

/** Waits until the module has been given so many requests. */
async function untilCame(subject: Service['subject'], count: number): Promise<void> {
  await until(async () => (await trafficOf(subject)).came >= count);
}

/** Lets the reader leave, and waits until the server has seen it: until no more than `others` are still being served. */
async function leave(subject: Service['subject'], reader: Reader, others = 0): Promise<void> {
  reader.leave();
  await until(async () => (await trafficOf(subject)).underWay <= others);
}

/** A connection that has been used, for a request that has to be there before others. */
async function openConnection(port: number): Promise<Agent> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  await ask(port, '/ping', { agent });
  return agent;
}

/** What the server takes in from now on: what it reads or, where that cannot be told, what it holds in memory. */
async function intake(subject: Service['subject']): Promise<() => Promise<number>> {
  const gauge = () => (noBytesRead === undefined ? bytesRead(subject) : subject.heldBytes());
  const before = await gauge();
  return async () => (await gauge()) - before;
}
const intakeVerb = noBytesRead === undefined ? 'read' : 'hold';
/** Between two samples of a drawing; nothing is judged by it. */
const samplingMs = 10;

/** Bytes read over time, by the server and by its reader; drawn until it is disposed. */
function chartOfReading(taken: () => Promise<number>, reader: Reader): Disposable {
  const [byServer, byReader] = [[], []] as [number, number][][];
  chart({
    title: 'Bytes over time, while the reader pauses and after it has gone on',
    unit: 'MB',
    xLabel: 'ms since the reader came',
    series: [
      { name: 'read by the server', points: byServer! },
      { name: 'taken by the reader', points: byReader! },
    ],
    limit: { label: 'limit while the reader pauses', y: readLimit / megabyte },
  });
  const begin = performance.now();
  let isDone = false;
  const draw = async () => {
    while (!isDone) {
      const bytes = await taken();
      const at = Math.round(performance.now() - begin);
      byServer!.push([at, bytes / megabyte]);
      byReader!.push([at, reader.bytes / megabyte]);
      await pause(samplingMs);
    }
  };
  // Elsewhere a look is a collection of garbage in the server.
  if (noBytesRead === undefined) void draw().catch(() => undefined);
  return { [Symbol.dispose]: () => void (isDone = true) };
}

/** What is open when one reader has come and gone: a server may keep a handle that it shares among all. */
async function descriptorsAfterOneReader(subject: Service['subject'], port: number, file: string): Promise<number[]> {
  using reader = new Reader(port, '/file');
  await reader.take(firstBytes);
  await atRest(subject);
  await leave(subject, reader);
  await atRest(subject);
  return await openDescriptors(subject, file);
}

async function expectClosed(subject: Service['subject'], before: readonly number[], what: string): Promise<void> {
  let left = 0;
  await until(async () => (left = (await openDescriptors(subject, large.path)).length - before.length) <= 0);
  expectThat(left <= 0, `${what}; 5 s later the server still has the file open for it`);
}

/** A process that has ended says why, with the module's own stack. */
async function expectAlive(subject: Service['subject'], what: string): Promise<void> {
  await subject.turns(1).catch(({ message, stack = '' }: Error) => {
    throw new SubjectError(`${what}: ${message}`, stack.replace(/^.*\n?/, ''));
  });
}

/** A summary whose file fails in the middle is no summary, and says nothing of the next one. */
async function expectSummaryAfterError(): Promise<void> {
  if (noBytesRead !== undefined || noStuckDisk !== undefined) return;
  const { subject, port, disk, asked } = await summaryUnderWay();
  await atRest(subject);
  // None, where the summary was too quick or the file is opened for each read: nothing fails then.
  const open = await openDescriptors(subject, medium.path);
  await breakDescriptors(subject, open, medium.path, folder);
  await disk.release();
  const [answer] = await Promise.all(asked);
  const what = 'reading the file failed while a summary was being worked out';
  await expectAlive(subject, what);
  await mendDescriptors(subject, open, medium.path, folder);
  const next = await ask(port, '/summary', { limitMs: summaryLimitMs });
  expect([next.status, next.isComplete], `${what}; the next one: its status, and whether it came to its end`).toEqual([
    200,
    true,
  ]);
  if (answer!.status === 200 && answer!.isComplete)
    expect(answer!.body.toString(), `${what}, and it came to its end all the same`).toBe(next.body.toString());
}

/** Whoever asked first may leave while the file is being read: the others get their summary. */
async function expectSummariesWithoutTheFirst(): Promise<void> {
  const { subject, first, asked, disk } = await summaryUnderWay();
  await leave(subject, first, 4);
  await disk.release();
  const what = 'five asked for a summary, and the first left while the file was being read';
  for (const answer of await Promise.all(asked))
    expectSummary(answer, { bytes: medium.bytes, sha256: mediumSha256 }, what);
}

interface SummaryUnderWay extends Service {
  /** Asked first. */
  readonly first: Reader;
  /** Those who asked a moment later. */
  readonly asked: Promise<Answer>[];
  readonly disk: Awaited<ReturnType<typeof stickDisk>>;
}

/** Where the server has read so much of a file, it is in the middle of it. */
const middleBytes = 256 * kilobyte;
/** A server reads at least a kilobyte at a time. */
const mostSteps = 256;

/**
 * Five ask for a summary of the medium file while the disk hangs, and the disk lets them go on step by step until the
 * server is in the middle of the file; or is done with it, where it reads in one go or goes past the disk.
 */
async function summaryUnderWay(): Promise<SummaryUnderWay> {
  const here = await service(medium.path);
  const { subject, port, pinger } = here;
  const taken = await intake(subject);
  const disk = await stickDisk(subject, workspace);
  onTestFinished(() => disk[Symbol.asyncDispose]());
  const { came } = await trafficOf(subject);
  const first = new Reader(port, '/summary');
  onTestFinished(() => first.leave());
  await untilCame(subject, came + 1);
  const asked = Array.from({ length: 4 }, () => ask(port, '/summary', { limitMs: summaryLimitMs }));
  await untilCame(subject, came + 5);
  let answers = 0;
  for (const answer of asked) void answer.then(() => answers++);
  for (let step = 0; step < mostSteps && answers === 0 && (await taken()) < middleBytes; step++) {
    await disk.step();
    await pinger.answered(1);
  }
  return { ...here, first, asked, disk };
}

/** A folder in the place of a file opens, and its first read fails. */
async function expectUnreadable(): Promise<void> {
  const { subject, port, pinger } = await service(folder);
  for (const path of ['/summary', '/file']) {
    const { status, isComplete } = await ask(port, path, { limitMs: 5000 });
    const what = `the first read of the file failed; GET ${path}`;
    await expectAlive(subject, what);
    expectThat(
      !(status === 200 && isComplete),
      `${what} was answered with 200 and came to its end as if all were well`,
    );
    expect(await pinger.answered(1), `${what}; of 1 ping after that, answered`).toBe(1);
  }
}

function expectSummary({ status, body }: Answer, summary: Summary, what: string): void {
  expect({ status, summary: parse(body) }, `${what}; its summary`).toEqual({
    status: 200,
    summary: expect.objectContaining(summary),
  });
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return `no JSON: ${body.toString().slice(0, 80)}`;
  }
}

async function smallFile(bytes: number, path = join(workspace, `${bytes}.bin`)) {
  const content = randomBytes(bytes);
  await writeFile(path, content);
  return { path, content };
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** CPU time of this thread for hashing so many bytes in one go, reckoned from a quarter of them. */
function hashingMs(bytes: number): number {
  const content = Buffer.alloc(bytes / 4);
  const before = process.threadCpuUsage();
  sha256(content);
  const { user, system } = process.threadCpuUsage(before);
  return (4 * (user + system)) / 1000;
}

function statuses(answers: readonly Answer[]): number[] {
  return answers.map(({ status }) => status);
}

function without(all: readonly number[], some: readonly number[]): number[] {
  return all.filter((one) => !some.includes(one));
}

/** A body that was read at once, in words. */
function difference(body: Buffer, content: Buffer): string {
  if (body.equals(content)) return 'the file';
  if (body.length !== content.length) return `${body.length} bytes instead of ${content.length}`;
  return `other bytes, from byte ${body.findIndex((byte, index) => byte !== content[index])} on`;
}

/** How a response came to its end, in words. */
function ending({ how, bytes, differsAt }: Ending, { bytes: size }: SparseFile): string {
  if (differsAt !== undefined) return `other bytes, from byte ${differsAt} on`;
  if (how === 'waiting') return `${inWords(bytes)} of ${inWords(size)}, and then nothing more`;
  if (how === 'broken') return `broken off after ${inWords(bytes)} of ${inWords(size)}`;
  return bytes === size ? 'the file' : `${bytes} bytes instead of ${size}`;
}
