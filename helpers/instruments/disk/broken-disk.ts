import { type Gauged, openDescriptors } from '../gauges/gauges.ts';

/**
 * From now on every read of these descriptors of `file` fails with EISDIR, by whatever function the module reads: they stay
 * open, and then they refer to a folder instead of the file. Do it while the process is at rest, so that nothing else takes
 * their numbers.
 */
export async function breakDescriptors(
  subject: Gauged,
  descriptors: readonly number[],
  file: string,
  folder: string,
): Promise<void> {
  await reopen(subject, descriptors, file, folder);
  // Seen from outside, where that can be: the module lives in the process that has done it. It may have read by now, and have
  // closed what it could not read: with a slow reader at the other end, the kernel can ask for more long after all was at rest.
  const whole = await openDescriptors(subject, file);
  if (descriptors.some((descriptor) => whole.includes(descriptor)))
    throw new Error('The descriptors could not be broken: one of them still refers to the file.');
}

/** Puts the file behind those of the descriptors that are still the folder's, for a module that keeps them for later. */
export async function mendDescriptors(
  subject: Gauged,
  descriptors: readonly number[],
  file: string,
  folder: string,
): Promise<void> {
  await reopen(subject, descriptors, folder, file);
}

/** Puts `to` behind those of the descriptors behind which `from` stands. */
async function reopen(subject: Gauged, descriptors: readonly number[], from: string, to: string): Promise<void> {
  await subject.evaluate(
    (_kata, args) => {
      const { closeSync, fstatSync, openSync, statSync } = process.getBuiltinModule('node:fs');
      const { dev, ino } = statSync(args.from);
      const isStill = (descriptor: number) => {
        try {
          const seen = fstatSync(descriptor);
          return seen.dev === dev && seen.ino === ino;
        } catch {
          // The module has closed it.
          return false;
        }
      };
      for (const descriptor of args.descriptors.filter(isStill)) {
        closeSync(descriptor);
        // An open takes the lowest number that is free; lower ones are filled until this one is taken.
        const spare: number[] = [];
        for (let taken = openSync(args.to, 'r'); taken !== descriptor; taken = openSync(args.to, 'r'))
          spare.push(taken);
        for (const number of spare) closeSync(number);
      }
    },
    { descriptors: [...descriptors], from, to },
  );
}
