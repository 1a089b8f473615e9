import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname } from 'node:path';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/file-encryption/file-encryption.ts';

/** How a call has ended. */
export interface Outcome {
  readonly how: 'done' | 'failed' | 'failed, with what is no Error' | 'never settled';
  readonly message: string;
  /** What was wrong in the folder of the output at the moment when the call settled. */
  readonly unfinished?: string;
}

export interface Call {
  readonly name: 'encryptFile' | 'decryptFile';
  readonly args: [input: string, output: string, password: string, cost?: Kata.ScryptCost];
}

interface Kept {
  call?: Promise<Outcome>;
}

const { readdirSync, fstatSync } = fs;
const { setImmediate, setTimeout } = globalThis;
const activeResources = process.getActiveResourcesInfo.bind(process);

/** The turns of the event loop that have to pass without any file operation before a withheld one begins. */
const idleTurns = 5;
/** The file operations that were under way before the module was called. */
let usualOperations = 0;

function operations(): number {
  return activeResources().filter((name) => name.startsWith('FS') || name.startsWith('FileHandle')).length;
}

/** Calls back when the module waits for no other file operation. */
function whenIdle(go: () => void): void {
  let idle = 0;
  const look = () => {
    idle = operations() <= usualOperations ? idle + 1 : 0;
    if (idle < idleTurns) setImmediate(look);
    else go();
  };
  setImmediate(look);
}

type Operation = (...args: unknown[]) => unknown;

/**
 * Removing and renaming begin only when nothing else is under way. A module that awaits them waits a few turns longer; one that
 * does not has returned by then.
 */
function withhold(): void {
  const [callbacks, promises] = [fs, fs.promises] as unknown as Record<string, Operation>[];
  for (const name of ['rm', 'unlink', 'rename', 'rmdir']) {
    const [withCallback, withPromise] = [callbacks![name]!, promises![name]!];
    callbacks![name] = (...args) => whenIdle(() => void withCallback(...args));
    promises![name] = async (...args) => {
      await new Promise<void>((resolve) => whenIdle(resolve));
      return await withPromise(...args);
    };
  }
  syncBuiltinESMExports();
}

// The judge's own process imports this file too, for the names of its functions.
if (process.env.VITEST === undefined) withhold();

/** Calls the module, and looks into the folder before anything else can happen. */
async function outcomeOf(kata: typeof Kata, { name, args }: Call): Promise<Outcome> {
  const [, output] = args;
  const before = namesIn(output);
  usualOperations = operations();
  const run = async () => await kata[name](...args);
  return await run().then(
    () => withLook({ how: 'done', message: '' }, [...before, basename(output)], output),
    (error: unknown) =>
      withLook(
        error instanceof Error
          ? { how: 'failed', message: String(error.message).slice(0, 2000) }
          : { how: 'failed, with what is no Error', message: '' },
        before,
        output,
      ),
  );
}

function withLook(outcome: Outcome, expected: readonly string[], output: string): Outcome {
  const names = namesIn(output);
  const more = names.filter((name) => !expected.includes(name));
  if (more.length > 0) return { ...outcome, unfinished: `${more.join(', ')} was still in the folder` };
  // Only the output counts here: what an earlier call has left may go while this one runs.
  const name = basename(output);
  if (expected.includes(name) && !names.includes(name))
    return { ...outcome, unfinished: `${name} was not in the folder` };
  return outcome;
}

function namesIn(output: string): string[] {
  return readdirSync(dirname(output));
}

/** Begins a call, if there is one to begin, and says how it went when that is known within `lookMs`. */
export async function lookAt({
  kata,
  args: { order, lookMs },
  kept,
}: Inside<typeof Kata, { order?: Call; lookMs: number }, Kept>): Promise<Outcome | undefined> {
  if (order) kept.call = outcomeOf(kata, order);
  return await Promise.race([
    kept.call!,
    new Promise<undefined>((resolve) => void setTimeout(resolve, lookMs, undefined)),
  ]);
}

/** Decrypts one file after the other, as many as there is time for, and says how each call went. */
export async function decryptEach({
  kata,
  args: { inputs, password, limitMs },
}: Inside<typeof Kata, { inputs: string[]; password: string; limitMs: number }>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let isLate = false;
  const late = new Promise<void>((resolve) => setTimeout(() => resolve(void (isLate = true)), limitMs));
  const work = async () => {
    for (const input of inputs) {
      if (isLate) return;
      outcomes.push(await outcomeOf(kata, { name: 'decryptFile', args: [input, `${input}.out`, password] }));
    }
  };
  await Promise.race([work(), late]);
  return outcomes.slice();
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
