import type { Client } from 'undici';
import { type StuckDisk, stickDisk } from '../../helpers/instruments/disk/stuck-disk.ts';
import { Pinger } from '../../helpers/instruments/event-loop/pinger.ts';
import { atRest, bytesRead, noBytesRead, openDescriptors } from '../../helpers/instruments/gauges/gauges.ts';
import { type Answer, type Question, ask, connectionTo } from '../../helpers/instruments/readers/ask.ts';
import { Reader, type ReaderOptions } from '../../helpers/instruments/readers/reader.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { SubjectError } from '../../helpers/judging/subject/subject-error.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { settles, until } from '../../helpers/foundations/waiting/until.ts';
import type * as Kata from '../../katas/backpressure/backpressure.ts';
import { type Traffic, readTraffic, startServer } from './inside.ts';

const kilobyte = 1024;
const megabyte = 1024 * kilobyte;
/** What a server may read for a reader that does not take it, including what the sockets between them hold. */
export const readLimit = 32 * megabyte;
/** What a reader takes before it pauses or leaves. */
export const firstBytes = 64 * kilobyte;
/** For a summary that never comes. */
const summaryLimitMs = 60_000;
/** What `taken` counts: bytes read or, where the system does not tell, bytes held in memory. */
const takes = noBytesRead === undefined ? 'read' : 'hold';
/** Once the server has read this much of a file, it is in the middle of the file. */
const middleBytes = 256 * kilobyte;
/** A server reads at least 1 KB at a time. */
const mostSteps = 256;

/** A server of the module's, with what the judge does to it and sees of it. Disposing ends all that the judge has opened. */
export class FileService implements AsyncDisposable {
  readonly subject: Subject<typeof Kata>;
  readonly file: string;
  /** Where a client reaches the server. */
  readonly port: number;
  /** Where the server listens in its own process, which may be in a container. */
  readonly #portInside: number;
  readonly #pinger: Pinger;
  readonly #workspace: string;
  readonly #opened = new AsyncDisposableStack();

  private constructor(
    subject: Subject<typeof Kata>,
    file: string,
    port: number,
    portInside: number,
    workspace: string,
  ) {
    this.subject = subject;
    this.file = file;
    this.port = port;
    this.#portInside = portInside;
    this.#workspace = workspace;
    this.#pinger = this.#opened.use(new Pinger(port));
  }

  static async start(subject: Subject<typeof Kata>, file: string, workspace: string): Promise<FileService> {
    const port = await subject.run(startServer, file);
    const service = new FileService(subject, file, await subject.portOutside(port), port, workspace);
    await service.pingsAnswered(1);
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened[Symbol.asyncDispose]();
  }

  /** Sends a request and reads the answer to its end. Never throws. */
  async ask(path: string, question: Question = {}): Promise<Answer> {
    return await ask(this.port, path, {
      ...(path === '/summary' && { comes: (answer: Promise<unknown>) => settles(answer, summaryLimitMs) }),
      ...question,
    });
  }

  /** Opens a connection that requests can share, so that the next one need not wait for its own. */
  async openConnection(): Promise<Client> {
    const connection = connectionTo(this.port);
    this.#opened.defer(() => connection.destroy());
    await this.ask('/ping', { connection });
    return connection;
  }

  /** A client that reads as it is told. */
  reader(path: string, options: ReaderOptions = {}): Reader {
    return this.#opened.use(new Reader(this.port, path, options));
  }

  /** A client that has taken the first bytes of the file and pauses. The server has done all that it does for it. */
  async pausedReader(options: ReaderOptions = {}): Promise<Reader> {
    const reader = this.reader('/file', options);
    await reader.take(firstBytes);
    await atRest(this.subject);
    return reader;
  }

  /** Sends pings one after the other; how many were answered before the first that was not. */
  async pingsAnswered(count: number): Promise<number> {
    return await this.#pinger.answered(count);
  }

  /** Makes all asynchronous file work of the process wait until it is released. */
  async stickDisk(): Promise<StuckDisk> {
    return this.#opened.use(await stickDisk(this.subject, this.#workspace));
  }

  /** Counts what the server reads (where that cannot be told, holds in memory) from now on. */
  async countTaken(): Promise<() => Promise<number>> {
    const gauge = () => (noBytesRead === undefined ? bytesRead(this.subject) : this.subject.heldBytes());
    const before = await gauge();
    return async () => (await gauge()) - before;
  }

  async traffic(): Promise<Traffic> {
    return await this.subject.run(readTraffic, this.#portInside);
  }

  /** Waits until the module has been given this many requests. */
  async untilArrived(count: number): Promise<void> {
    await until(async () => (await this.traffic()).arrived >= count);
  }

  /** Lets the reader leave and waits until the server has noticed: until at most `others` are being served. */
  async leave(reader: Reader, others = 0): Promise<void> {
    reader.leave();
    await until(async () => (await this.traffic()).underWay <= others);
  }

  /** The descriptors with which the process has the file open, after garbage collection: a Blob closes its file only then. */
  async openDescriptors(): Promise<number[]> {
    await this.subject.heldBytes();
    await atRest(this.subject);
    return await openDescriptors(this.subject, this.file);
  }

  /**
   * What stays open after a reader has come and gone: a server may keep one handle for all readers.
   * Fails when that reader gets nothing: who serves nobody keeps nothing open either.
   */
  async descriptorsAfterOneReader(): Promise<number[]> {
    const reader = await this.pausedReader();
    expectThat(
      reader.bytes >= firstBytes,
      `a reader that waits for the first 64 KB of the file got ${reader.bytes} bytes`,
    );
    await this.leave(reader);
    return await this.openDescriptors();
  }

  /** Fails when more descriptors are open than before, 5 s after the reader has left. */
  async expectClosed(before: readonly number[], what: string): Promise<void> {
    const isClosed = await until(async () => (await this.openDescriptors()).length <= before.length);
    await this.expectAlive(what);
    expectThat(isClosed, `${what}; 5 s later the server still has the file open for it`);
  }

  /** Fails when the server has taken in more than it may for a reader that takes nothing. */
  async expectRestraint(taken: () => Promise<number>, what: string): Promise<void> {
    expectAtMost(await taken(), readLimit, `${what}; the server went on to ${takes}`);
  }

  /** @throws SubjectError when the process has ended; it says what was done to the module, and the module's last words */
  async expectAlive(what: string): Promise<void> {
    await this.subject.turns(1).catch(({ message, stack = '' }: Error) => {
      throw new SubjectError(`${what}: ${message}`, stack.replace(/^.*\n?/, ''));
    });
  }

  /**
   * Five ask for a summary while the disk is stuck, and the disk lets the server read on step by step until it is in the middle
   * of the file. A server that reads the file in one go, or synchronously, is done by then.
   */
  async fiveSummariesHalfway(): Promise<SummariesHalfway> {
    const taken = await this.countTaken();
    const disk = await this.stickDisk();
    const { arrived } = await this.traffic();
    const leavers: Reader[] = [];
    for (let count = 1; count <= 3; count++) {
      leavers.push(this.reader('/summary'));
      await this.untilArrived(arrived + count);
    }
    const others = Array.from({ length: 2 }, () => this.ask('/summary'));
    await this.untilArrived(arrived + 5);
    let answered = 0;
    for (const other of others) void other.then(() => answered++);
    await this.#readOn(disk, taken, () => answered > 0);
    return { leavers, others, taken, disk };
  }

  /** The same with one who asks, and leaves when the server is in the middle of the file. */
  async lonelySummaryHalfway(): Promise<{ readonly disk: StuckDisk }> {
    const taken = await this.countTaken();
    const disk = await this.stickDisk();
    const { arrived } = await this.traffic();
    const reader = this.reader('/summary');
    await this.untilArrived(arrived + 1);
    await this.#readOn(disk, taken, () => reader.bytes > 0);
    await this.leave(reader);
    return { disk };
  }

  /** Lets the server go on step by step until it is in the middle of the file, or has answered. */
  async #readOn(disk: StuckDisk, taken: () => Promise<number>, isAnswered: () => boolean): Promise<void> {
    for (let step = 0; step < mostSteps && !isAnswered() && (await taken()) < middleBytes; step++) {
      await disk.step();
      await this.pingsAnswered(1);
    }
  }
}

export interface SummariesHalfway {
  /** The three who asked first. They may leave. */
  readonly leavers: readonly Reader[];
  /** The two who asked a moment later. */
  readonly others: readonly Promise<Answer>[];
  /** Bytes that the server has read since before they asked. */
  taken(): Promise<number>;
  /** Still stuck. */
  readonly disk: StuckDisk;
}
