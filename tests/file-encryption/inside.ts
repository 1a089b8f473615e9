import crypto, { type ScryptOptions } from 'node:crypto';
import fs from 'node:fs';
import { basename, dirname } from 'node:path';
import { inSubject } from '../../helpers/instruments/judge/in-subject.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/file-encryption/file-encryption.ts';

/** One call of the module. */
export interface Call {
  readonly name: 'encryptFile' | 'decryptFile';
  readonly args: [input: string, output: string, password: string, cost?: Kata.ScryptCost];
  /** Begins steps that change the disk only when the module waits for nothing else: each of them, or the first writes. */
  readonly holdsBack?: 'all' | 'first writes';
  /** Makes scrypt return other keys than it has derived: changed ones, or those of the call before in this process. */
  readonly keys?: 'changed' | 'of the call before';
  /** Makes node:crypto draw the same random bytes in each of these calls. */
  readonly drawsAlike?: boolean;
}

/** How a call has ended. */
export interface Ending {
  readonly how: 'done' | 'failed' | 'threw something that is not an Error';
  readonly message: string;
}

/** The same, and what was seen meanwhile. */
export interface Outcome extends Ending {
  /** Names that are in the folder of the output now and were not before. After a success the output is not among them. */
  readonly left: readonly string[];
  /** The numbers of each scrypt that was run meanwhile. */
  readonly scrypts: readonly Kata.ScryptCost[];
  /** With `holdsBack`: the steps that were still under way when the call settled. */
  readonly unfinished: readonly string[];
}

const { readdirSync, fstatSync, existsSync } = fs;
const { setImmediate } = globalThis;
const activeResources = process.getActiveResourcesInfo.bind(process);

/** So many writes are the first: some for what begins a file, and some for its first pieces. */
const firstWrites = 20;
/** So many turns of the event loop must pass without a file operation before the module counts as idle. */
const idleTurns = 5;
/** The file operations that were under way before the call. */
let usualOperations = 0;
let holdsBack: Call['holdsBack'];
let writes = 0;
let keysGiven: Call['keys'];
/** What scrypt has derived in this call and in the one before, in the order in which it was asked. */
let derived: Buffer[] = [];
let derivedBefore: Buffer[] = [];
let scrypts: Kata.ScryptCost[] = [];
/** The next random byte of a call that draws alike. */
let nextDraw: number | undefined;
/** The steps that were begun and are not finished. */
const underWay = new Set<{ readonly words: string }>();

/** The steps that can be held back, by what they are called on. */
const pathSteps = ['rm', 'unlink', 'rmdir', 'rename', 'copyFile', 'writeFile', 'appendFile'];
const descriptorSteps = ['write', 'writev', 'close'];
const handleSteps = ['write', 'writev', 'writeFile', 'appendFile', 'close'];

inSubject(() => {
  watchScrypt();
  watchDraws();
  watchFiles();
});

/** Calls the module, and comes back when the call has settled and nothing is under way any more. */
export async function callOnce({ kata, args: call }: Inside<typeof Kata, Call>): Promise<Outcome> {
  const { args, keys, drawsAlike } = call;
  const [, output] = args;
  const before = new Set(namesIn(dirname(output)));
  usualOperations = fileOperations();
  [holdsBack, writes, keysGiven, scrypts] = [call.holdsBack, 0, keys, []];
  [derivedBefore, derived] = [derived, []];
  nextDraw = drawsAlike ? 0 : undefined;
  const ending = await endingOf(kata, call);
  const unfinished = [...underWay].map(({ words }) => words);
  // Whatever was not awaited must not disturb the next call.
  do await idle();
  while (underWay.size > 0);
  [holdsBack, keysGiven, nextDraw] = [undefined, undefined, undefined];
  if (ending.how === 'done') before.add(basename(output));
  const left = namesIn(dirname(output)).filter((file) => !before.has(file));
  return { ...ending, left, scrypts, unfinished };
}

/** Calls the module so often at once, and says how each call has ended. */
export async function callAtOnce({ kata, args: calls }: Inside<typeof Kata, readonly Call[]>): Promise<Ending[]> {
  return await Promise.all(calls.map((call) => endingOf(kata, call)));
}

async function endingOf(kata: typeof Kata, { name, args }: Call): Promise<Ending> {
  const run = async () => await kata[name](...args);
  return await run().then(
    () => ({ how: 'done', message: '' }),
    (error: unknown) =>
      error instanceof Error
        ? { how: 'failed', message: String(error.message).slice(0, 2000) }
        : { how: 'threw something that is not an Error', message: '' },
  );
}

/** How many files the process has open. */
export function openFiles(_inside: Inside<typeof Kata>): number {
  let count = 0;
  for (let descriptor = 3; descriptor < 1024; descriptor++) {
    try {
      if (fstatSync(descriptor).isFile()) count++;
    } catch {
      // Not open.
    }
  }
  return count;
}

function fileOperations(): number {
  return activeResources().filter((name) => name.startsWith('FS') || name === 'CloseReq').length;
}

/** Resolves when the module waits for no file operation, and not before `isFirst` holds. */
function idle(isFirst = () => true): Promise<void> {
  return new Promise((resolve) => {
    let turns = 0;
    const look = () => {
      turns = fileOperations() <= usualOperations && isFirst() ? turns + 1 : 0;
      if (turns < idleTurns) setImmediate(look);
      else resolve();
    };
    setImmediate(look);
  });
}

/**
 * Notes that a step is under way. The step itself must wait for `mayBegin`: until the module waits for nothing else, and until each
 * step that was asked for later is finished. So a step that the module does not await is the last to begin.
 */
function holdBack(words: string): { mayBegin: Promise<void>; finish(): void } {
  const entry = { words };
  underWay.add(entry);
  return { mayBegin: idle(() => [...underWay].at(-1) === entry), finish: () => void underWay.delete(entry) };
}

function watchScrypt(): void {
  const { scrypt, scryptSync } = crypto;
  const given = (key: Buffer<ArrayBuffer>, place: number) => {
    derived[place] = Buffer.from(key);
    if (keysGiven === 'changed') return Buffer.from(key.map((byte) => byte ^ 0x55));
    return keysGiven === 'of the call before' ? Buffer.from(derivedBefore[place] ?? key) : key;
  };
  crypto.scryptSync = (password, salt, keyBytes, options) => {
    const numbers = numbersOf(options);
    const key = scryptSync(password, salt, keyBytes, options);
    return given(key, scrypts.push(numbers) - 1);
  };
  crypto.scrypt = ((...args: Parameters<typeof scrypt>) => {
    const [password, salt, keyBytes, optionsOrDone, maybeDone] = args as unknown[];
    const options = (maybeDone === undefined ? {} : optionsOrDone) as ScryptOptions;
    const done = (maybeDone ?? optionsOrDone) as (error: Error | null, key: Buffer) => void;
    const numbers = numbersOf(options);
    const place = scrypts.length;
    // Node looks at the numbers before this returns, and throws.
    scrypt(password as string, salt as string, keyBytes as number, options, (error, key) =>
      done(error, error ? key : given(key, place)),
    );
    scrypts.push(numbers);
  }) as typeof scrypt;
}

/**
 * The numbers that scrypt will run with.
 * @throws Error in the place of a scrypt that Node would run, and that would take minutes
 */
function numbersOf(options: ScryptOptions = {}): Kata.ScryptCost {
  // Node replaces zeros by its defaults, too.
  const N = (options.N ?? options.cost) || 2 ** 14;
  const r = (options.r ?? options.blockSize) || 8;
  const p = (options.p ?? options.parallelization) || 1;
  const isTooMuch = 128 * N * r >= 2 ** 28 || N * r * p >= 2 ** 21;
  const isRun = 128 * r * (N + p + 2) <= (options.maxmem || 32 * 1024 * 1024) && Number.isInteger(Math.log2(N));
  if (!isTooMuch || !isRun) return { N, r, p };
  scrypts.push({ N, r, p });
  throw new Error('The judge does not run such a scrypt.');
}

type Operation = (...args: unknown[]) => unknown;

/** Lets the usual ways to draw random bytes give 0, 1, 2 … while a call draws alike. Other ways stay random. */
function watchDraws(): void {
  const drawn = (bytes: Buffer) => {
    if (nextDraw !== undefined) for (let at = 0; at < bytes.length; at++) bytes[at] = nextDraw++;
    return bytes;
  };
  const randomBytes = crypto.randomBytes as (count: number) => Buffer;
  crypto.randomBytes = ((count: number, done?: (error: Error | null, bytes: Buffer) => void) => {
    const bytes = drawn(randomBytes(count));
    return done ? setImmediate(done, null, bytes) && undefined : bytes;
  }) as typeof crypto.randomBytes;
  const { randomFillSync } = crypto;
  crypto.randomFillSync = ((array: Buffer, ...part: number[]) => {
    randomFillSync(array, ...part);
    if (part.length === 0) drawn(Buffer.from(array.buffer, array.byteOffset, array.byteLength));
    return array;
  }) as typeof randomFillSync;
}

/** Lets each step be held back that changes the disk, and each open and close of a file for writing. */
function watchFiles(): void {
  const callbacks = fs as unknown as Record<string, Operation>;
  const promises = fs.promises as unknown as Record<string, Operation>;
  /** The descriptors that were opened for writing. */
  const written = new Set<unknown>();
  for (const name of pathSteps) {
    callbacks[name] = alike(callbacks[name]!, withCallback(name, callbacks[name]!));
    promises[name] = withPromise(name, promises[name]!);
  }
  for (const name of descriptorSteps) {
    const [plain, held] = [callbacks[name]!, withCallback(name, callbacks[name]!)];
    callbacks[name] = alike(plain, (...args) => (written.has(args[0]) ? held : plain)(...args));
  }
  const { open, openSync } = callbacks;
  const opened = (descriptor: unknown, flags: unknown) =>
    isForWriting(flags) ? written.add(descriptor) : written.delete(descriptor);
  callbacks.openSync = (...args) => {
    const descriptor = openSync!(...args);
    opened(descriptor, args[1]);
    return descriptor;
  };
  const heldOpen = withCallback('open', open!);
  callbacks.open = (...args) => {
    const done = args.pop() as Operation;
    return (isForWriting(args[1]) ? heldOpen : open!)(...args, (error: unknown, descriptor: unknown) => {
      if (!error) opened(descriptor, args[1]);
      done(error, descriptor);
    });
  };
  const openHandle = promises.open!;
  const heldOpenHandle = withPromise('open', openHandle);
  promises.open = async (...args) => {
    const handle = (await (isForWriting(args[1]) ? heldOpenHandle : openHandle)(...args)) as Record<string, Operation>;
    written.delete(handle.fd);
    if (isForWriting(args[1]))
      for (const name of handleSteps) handle[name] = withPromise(name, handle[name]!.bind(handle) as Operation);
    return handle;
  };
}

/** With the properties of the other function, among them what `promisify` looks at. */
function alike(original: Operation, step: Operation): Operation {
  return Object.defineProperties(step, Object.getOwnPropertyDescriptors(original)) as Operation;
}

function isForWriting(flags: unknown): boolean {
  if (typeof flags === 'number') return (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0;
  return typeof flags === 'string' && /[wa+]/.test(flags);
}

function isHeldBack(words: string): boolean {
  return holdsBack === 'first writes' ? /^(write|append)/.test(words) && writes++ < firstWrites : holdsBack === 'all';
}

function withPromise(words: string, step: Operation): Operation {
  return async (...args) => {
    if (!isHeldBack(words)) return await step(...args);
    const { mayBegin, finish } = holdBack(words);
    await mayBegin;
    try {
      return await step(...args);
    } finally {
      finish();
    }
  };
}

function withCallback(words: string, step: Operation): Operation {
  return (...args) => {
    if (!isHeldBack(words)) return step(...args);
    const { mayBegin, finish } = holdBack(words);
    const done = typeof args.at(-1) === 'function' ? (args.pop() as Operation) : () => undefined;
    const settle: Operation = (...results) => {
      finish();
      done(...results);
    };
    void mayBegin.then(() => step(...args, settle));
  };
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
