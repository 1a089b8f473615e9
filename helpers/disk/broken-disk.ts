import { type Gauged, openDescriptors } from '../gauges/gauges.ts';

/**
 * From now on every read of these open files fails with EISDIR, by whatever function the module reads: the descriptors
 * stay open, and a folder stands behind them in the file's place. Do it while the process is at rest, so that nothing
 * else takes their numbers.
 */
export async function breakDescriptors(subject: Gauged, descriptors: readonly number[], folder: string): Promise<void> {
  await reopen(subject, descriptors, folder);
  // Seen from outside, where that can be: the module lives in the process that has done it.
  const broken = await openDescriptors(subject, folder);
  if (!descriptors.every((descriptor) => broken.includes(descriptor)))
    throw new Error('The descriptors could not be broken: the folder does not stand behind all of them.');
}

/** Puts the file behind those of the descriptors that are still the folder's, for a module that keeps them for later. */
export async function mendDescriptors(
  subject: Gauged,
  descriptors: readonly number[],
  file: string,
  folder: string,
): Promise<void> {
  await reopen(subject, descriptors, file, folder);
}

async function reopen(subject: Gauged, descriptors: readonly number[], path: string, only?: string): Promise<void> {
  await subject.evaluate(
    (_kata, args) => {
      const { closeSync, fstatSync, openSync, statSync } = process.getBuiltinModule('node:fs');
      const isOnly = (descriptor: number) => {
        if (args.only === undefined) return true;
        try {
          return fstatSync(descriptor).ino === statSync(args.only).ino;
        } catch {
          return false;
        }
      };
      for (const descriptor of args.descriptors.filter(isOnly)) {
        closeSync(descriptor);
        // An open takes the lowest number that is free; lower ones are filled until this one is taken.
        const spare: number[] = [];
        for (let taken = openSync(args.path, 'r'); taken !== descriptor; taken = openSync(args.path, 'r'))
          spare.push(taken);
        for (const number of spare) closeSync(number);
      }
    },
    { descriptors: [...descriptors], path, only },
  );
}
