import { randomBytes } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { CapturedOutput } from './captured-output.ts';
import { setImmediate as turn } from 'node:timers/promises';
import { hasProc } from '../../foundations/processes/proc.ts';
import { settles } from '../../foundations/waiting/until.ts';
import { bundleInside } from './bundle-inside.ts';
import { compile } from './compile.ts';
import { startInContainer } from './container/container.ts';
import { type Address, type HeldProcess, startProcess } from './held-process.ts';
import { notPlain } from './inside/plain.js';
import { chosenSandbox } from './sandbox.ts';
import { SubjectError } from './subject-error.ts';
import { watchQuota } from './workspace-quota.ts';
import { shortPath } from '../../foundations/catalogue/target.ts';
import { type FromHost, readMessage } from './from-host.ts';
import { type CpuTimes, Orders } from './orders.ts';
import { containerView, hostFile, nodeFlags, subjectEnvironment } from './node-flags.ts';
import { Seal, keyBytes } from './inside/seal.js';
import type { Exit, SubjectOptions, Tools } from './subject-types.ts';
import { whyProcessEnded } from './why-it-failed.ts';

/** How long to wait for the system to start or end a process. */
const processLimitMs = 60_000;
const interference =
  'wrote to the channel between its process and the judge, which only the judge’s own code may use, and was stopped';
/** How long a process that has said that it exits may do nothing before it is ended. */
const exitLimitMs = 300;
/** A frame of the channel: an answer of 16 MiB at most, and what is around it. */
const longestFrameBytes = 17 * 1024 * 1024;
/** How long a process that cannot be looked at any more may take to be known as ended. */
const lastWordsMs = 5_000;
/** How often a process is asked for its CPU times while something is awaited, and how much longer that may take when it is busy. */
const idle = { stepMs: 200, mostTimes: 12 };

/**
 * A kata's module in a process of its own. The test drives it from outside; what comes back is plain data.
 * `Kata` is the type of the module, `Kept` of what the test leaves in the process between two calls.
 */
export class Subject<Kata, Kept extends object = Record<string, never>> implements AsyncDisposable {
  readonly file: string;
  readonly #name: string;
  readonly #process: HeldProcess;
  readonly #toSubject: Seal;
  readonly #insideFile: string | undefined;
  readonly #stdout: CapturedOutput;
  readonly #stderr: CapturedOutput;
  readonly #orders: Orders;
  readonly #closed: Promise<void>;
  readonly #ready: Promise<void>;
  #ended: SubjectError | undefined;
  #hasHung = false;
  #ownEnd: Exit | undefined;
  #uncaught: Extract<FromHost, { event: 'uncaught' }> | undefined;
  #exit: Extract<FromHost, { event: 'exit' }> | undefined;
  /** Whether it did not get further than the event 'exit'. */
  #isStuck = false;

  /** Use `startSubject` or `startModule`. */
  constructor(file: string, options: SubjectOptions) {
    this.file = file;
    this.#name = options.name ?? file;
    this.#insideFile = options.insideFile;
    const { promise: ready, resolve: becomeReady } = Promise.withResolvers<void>();
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    this.#ready = ready;
    this.#closed = closed;
    const order = {
      args: [...nodeFlags(options), hostFile, ...(options.needs ?? [])],
      env: subjectEnvironment(),
    };
    this.#orders = new Orders({
      name: this.#name,
      limitMs: options.limitMs ?? 10_000,
      send: (message) => this.#process.send(this.#toSubject.close(serialize(message))),
      cpuTimes: () => this.#cpuTimes(),
      hung: (why) => {
        this.#hasHung = true;
        this.#kill(why);
      },
    });
    const key = randomBytes(keyBytes);
    this.#toSubject = new Seal(key, 'to the subject');
    const toJudge = new Seal(key, 'to the judge');
    const events = {
      frame: (frame: Buffer) => {
        const body = toJudge.open(frame);
        const told = body && readMessage(deserialize(body));
        if (told === undefined) this.#kill(interference);
        else if ('id' in told) this.#orders.settle(told);
        else if (told.event === 'chunk') this.#orders.chunk(told.of, told.chunk);
        else if (told.event === 'ready') becomeReady();
        else if (told.event === 'uncaught') this.#uncaught = told;
        else {
          this.#exit = told;
          void this.#leaves();
        }
      },
      fault: () => this.#kill(interference),
      longestFrameBytes,
      failed: (why: string) => {
        this.#end(new SubjectError(`No process could be started for ${shortPath(this.#name)}: ${why}`));
        close();
      },
      closed: (code: number | null, signal: string | null) => {
        const end = this.#isStuck ? { code: this.#exit!.code, signal: null } : { code, signal };
        if (!this.#ended) this.#ownEnd = end;
        const heard = { uncaught: this.#uncaught, exit: this.#exit, stderr: this.#stderr.text };
        this.#end(whyProcessEnded({ ...end, ...heard }, this.#name));
        becomeReady();
        close();
      },
    };
    this.#process =
      chosenSandbox() === 'docker'
        ? startInContainer({ ...order, ...containerView(options) }, events)
        : startProcess(order, events);
    // The first frame is sent before the module is loaded, so the module cannot read it; later frames are sealed with this key.
    this.#process.send(key);
    const outputLimitBytes = options.outputLimitBytes ?? 16 * 1024 * 1024;
    const overflow = () =>
      this.#kill(`printed more than ${outputLimitBytes / 1024 / 1024} MiB and was stopped; a module should say less`);
    if (options.workspace !== undefined && options.needs?.includes('write-files')) {
      const onExceeded = (what: string) => this.#kill(`filled its workspace with ${what}`);
      const endQuota = watchQuota(options.workspace, onExceeded, { pid: this.pid });
      void closed.then(endQuota);
    }
    this.#stdout = new CapturedOutput(this.#process.stdout, outputLimitBytes, overflow);
    this.#stderr = new CapturedOutput(this.#process.stderr, outputLimitBytes, overflow);
  }

  /** The process id; 0 when the process does not run on this machine. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /**
   * Looks at the process from outside, for instruments; see helpers/foundations/processes/proc.ts.
   * @throws SubjectError when the process has ended, with its last words
   */
  fromOutside: HeldProcess['fromOutside'] = async (name, ...args) => {
    if (this.#ended) throw this.#ended;
    try {
      return (await this.#process.fromOutside(name, ...args)) as never;
    } catch (error) {
      // What cannot be read has mostly ended; its last words come a moment later.
      await settles(this.#closed, lastWordsMs);
      throw this.#ended ?? error;
    }
  };

  /** Under which port of 127.0.0.1 a test reaches the port that the module listens at. The same, but in a container. */
  async portOutside(port: number): Promise<number> {
    return await this.#process.portOutside(port);
  }

  /** A copy of `options` whose host and port are where the module finds that address. The same, but in a container. */
  async addressInside<Options extends Address>(options: Options): Promise<Options> {
    return { ...options, ...(await this.#process.addressInside({ host: options.host, port: options.port })) };
  }

  get alive(): boolean {
    return this.#ended === undefined;
  }

  /** Whether it was stopped because loading or a call took longer than its limit. */
  get hasHung(): boolean {
    return this.#hasHung;
  }

  /** Lets the runner end although this process is there; it ends with the runner. */
  unref(): void {
    this.#process.unref();
  }

  /** What it printed on standard output and standard error, both ends of it when it is long. */
  get printed(): string {
    return [this.#stdout.text, this.#stderr.text].filter(Boolean).join('\n');
  }

  /**
   * Runs `fn` in the subject's process and gives back what it returns. `fn` is sent as text: it sees the module, `args`,
   * and `kept`, an object that stays in the process from one call to the next; nothing else of the test.
   * @throws SubjectError when `fn` or the module throws, hangs or ends the process, or when something is not plain data
   */
  async evaluate<Args, Result>(
    fn: (kata: Kata, args: Args, kept: Kept, tools: Tools) => Result | Promise<Result>,
    ...[args]: undefined extends Args ? [args?: Args] : [args: Args]
  ): Promise<Result> {
    const fault = notPlain(args, 'args');
    if (fault !== undefined) throw new SubjectError(`What evaluate is given must be plain data, but ${fault}.`);
    return (await this.#order('answering a call', { kind: 'evaluate', source: fn.toString(), args })) as Result;
  }

  /**
   * Runs an exported function of the judge's `inside.ts` in the subject's process and gives back what it returns. Functions there
   * may call each other and import modules; they share nothing else with the judge.
   * @throws SubjectError when it or the module throws, hangs or ends the process, or when something is not plain data
   */
  async run<Args, Result>(
    fn: (inside: { kata: Kata; args: Args; kept: never; tools: Tools }) => Result | Promise<Result>,
    ...[args]: undefined extends Args ? [args?: Args] : [args: Args]
  ): Promise<Result> {
    const fault = notPlain(args, 'args');
    if (fault !== undefined) throw new SubjectError(`What run is given must be plain data, but ${fault}.`);
    return (await this.#order('answering a call', { kind: 'run', name: fn.name, args })) as Result;
  }

  /** Comes back when the subject's event loop has turned `count` times more. */
  async turns(count: number): Promise<void> {
    await this.#order('turning its event loop', { kind: 'turns', count });
    // Several answers can arrive in one chunk: callers that wait for an earlier one continue before this returns.
    await turn();
  }

  /**
   * Asks the heap probe, in a process whose kata's README says `heap`. `onChunk` takes the parts of a long answer.
   * What comes back is measured in the module's own process: check it before you rely on it.
   */
  async probe(
    question: 'collect' | 'collect once' | 'measure' | 'snapshot',
    onChunk?: (chunk: Uint8Array) => void,
  ): Promise<unknown> {
    return await this.#order('measuring its heap', { kind: 'probe', question }, onChunk);
  }

  /** How many bytes of memory JavaScript holds in the process, its buffers included, after a full garbage collection. */
  async heldBytes(): Promise<number> {
    return Number(await this.#order('collecting garbage', { kind: 'held bytes' }));
  }

  /**
   * Does something, and says how much CPU time the event loop spent in the busiest of its turns meanwhile, in ms. That
   * is what kept everybody else waiting; a busy neighbour on the machine does not show in it.
   */
  async busiestTurnMs(meanwhile: () => Promise<unknown>): Promise<number> {
    const stop = async () => Number(await this.#order('turning its event loop', { kind: 'busiest turn' }));
    await this.#order('turning its event loop', { kind: 'watch turns' });
    try {
      await meanwhile();
    } catch (error) {
      await stop().catch(() => undefined);
      throw error;
    }
    return await stop();
  }

  /** Imports packages ahead of the module that will want them. */
  async warm(packages: readonly string[]): Promise<void> {
    await this.#ready;
    await this.#order('importing packages', { kind: 'warm', packages });
  }

  /**
   * Compiles and loads the module; when that fails, ends the process.
   * @throws SubjectError that says why
   */
  async load(): Promise<void> {
    try {
      const inside = this.#insideFile === undefined ? undefined : await bundleInside(this.#insideFile);
      const { url, source } = await compile(this.file, this.#name);
      if (!(await settles(this.#ready, processLimitMs)))
        throw new SubjectError(
          `The process for ${shortPath(this.#name)} was not ready after ${processLimitMs / 1000} s.`,
        );
      if (inside !== undefined) await this.#order('loading', { kind: 'inside', source: inside });
      await this.#order('loading', { kind: 'load', url, source });
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** From now on nothing of the judge's keeps the process alive: it ends when the module has nothing more to do. See `ended`. */
  async letGo(): Promise<void> {
    await this.#order('being let go', { kind: 'let go' });
  }

  /**
   * Sends a real signal to the process. Does nothing when it has ended.
   * @throws Error on Windows, where a process gets no signals
   */
  signal(name: NodeJS.Signals): void {
    this.#process.signal(name);
  }

  /**
   * Says whether `promise` settled, either way, within `limitMs` (default 5,000) of time in which the process had nothing to do. The
   * time in which it worked or waited for a processor counts only when it comes to twelve times as much.
   */
  async settles(promise: Promise<unknown>, limitMs = 5_000): Promise<boolean> {
    let before = await this.#cpuTimes();
    for (let [idleMs, allMs] = [0, 0]; idleMs < limitMs && allMs < idle.mostTimes * limitMs; allMs += idle.stepMs) {
      if (await settles(promise, idle.stepMs)) return true;
      const now = await this.#cpuTimes();
      const busyMs = before && now ? now.usedMs - before.usedMs + now.waitedMs - before.waitedMs : 0;
      idleMs += Math.max(0, idle.stepMs - busyMs);
      before = now;
    }
    return false;
  }

  /**
   * Waits until the process has ended by itself or by a signal, and gives back what the operating system says of it; undefined when
   * it has not ended within `limitMs` (default 5,000) of time in which it had nothing to do.
   * @throws SubjectError when the judge had to end it
   */
  async ended(limitMs?: number): Promise<Exit | undefined> {
    if (!(await this.settles(this.#closed, limitMs))) return undefined;
    if (!this.#ownEnd) throw this.#ended!;
    return this.#ownEnd;
  }

  /** Ends the process at once, with everything that it started. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill();
    await settles(Promise.all([this.#closed, this.#process.gone]), processLimitMs);
  }

  /** Undefined where this platform does not tell, and when the process has ended. */
  async #cpuTimes(): Promise<CpuTimes | undefined> {
    if (!hasProc) return undefined;
    const read = [this.#process.fromOutside('cpuMs'), this.#process.fromOutside('waitedForCpuMs')] as const;
    return await Promise.all(read).then(
      ([usedMs, waitedMs]) => ({ usedMs, waitedMs }),
      () => undefined,
    );
  }

  #order(doing: string, order: Record<string, unknown>, onChunk?: (chunk: Uint8Array) => void): Promise<unknown> {
    return this.#ended ? Promise.reject(this.#ended) : this.#orders.give(doing, order, onChunk);
  }

  /**
   * Ends a process that has come to its event 'exit' and then does nothing. Node can deadlock there: its main thread joins a thread
   * that waits for a collection by the main thread. See https://github.com/nodejs/node/issues/54918.
   */
  async #leaves(): Promise<void> {
    if (await this.settles(this.#closed, exitLimitMs)) return;
    this.#isStuck = true;
    this.#process.kill();
  }

  #kill(why: string): void {
    this.#end(new SubjectError(`${shortPath(this.#name)} ${why}.`));
    this.#process.kill();
  }

  #end(error: SubjectError): void {
    this.#ended ??= error;
    this.#orders.fail(this.#ended);
  }
}

/**
 * Starts a module file in a process of its own.
 * @throws SubjectError when it does not compile, does not load, or does not do so within its limit
 */
export async function startModule<Kata, Kept extends object = Record<string, never>>(
  file: string,
  options: SubjectOptions = {},
): Promise<Subject<Kata, Kept>> {
  const subject = new Subject<Kata, Kept>(file, options);
  await subject.load();
  return subject;
}
