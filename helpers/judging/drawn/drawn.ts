import fc from 'fast-check';
import { settings } from '../../foundations/settings.ts';
import { SubjectError } from '../subject/subject-error.ts';
import { expectThat } from '../verdict/expect-that.ts';
import { chosenSeed } from './seed.ts';

/** Something that has to hold for whatever is drawn. `Seen` is what the module does with an `Example`. */
export interface Drawing<Example, Seen> {
  readonly examples: fc.Arbitrary<Example>;
  /** How many examples are drawn. */
  readonly count: number;
  /** Passes many examples to the module in one call and returns what was seen of each, in order. It may stop after a bad one. */
  ask(examples: readonly Example[]): Promise<readonly Seen[]>;
  /** What is wrong with that, in words that go on after a colon; undefined when nothing is. */
  fault(seen: Seen, example: Example): string | undefined;
  /** An example in plain words. */
  inWords(example: Example): string;
}

/** For how long a smaller example is looked for, in ms. It decides how well a failure reads, and no verdict. */
const shrinkingMs = 2_000;

/**
 * For a judge: draws examples, and fails when the module is wrong about one of them. The message tells the smallest example
 * that was found, what was seen, and the seed, which can be given again as `KATA_SEED`.
 * @throws SubjectError that names the example with which the module threw, hung or ended its process
 */
export async function expectForDrawn<Example, Seen>(drawing: Drawing<Example, Seen>): Promise<void> {
  const seed = chosenSeed();
  const { examples, count, ask, inWords } = drawing;
  const drawn = fc.sample(examples, { seed, numRuns: count });

  const seen = await ask(drawn).catch(() => undefined);
  const found = seen === undefined ? await askOneByOne(drawing, drawn) : firstFault(drawing, drawn, seen);

  if (!found) return;
  const { example, fault } = settings().explain !== 'none' ? await smaller(drawing, found, seed) : found;
  expectThat(
    false,
    `${inWords(example)}: ${fault} (found with number ${found.index + 1} of ${count} examples, KATA_SEED=${seed})`,
  );
}

/**
 * For a judge whose examples are asked about one by one, because each is a file or costs much: `expectIt` fails when the module is
 * wrong about one, and the failure is told for the smallest that was found, with the seed.
 * `isSpent`: nothing more can be learned of the module, for its process has ended; smaller examples would each end one more.
 * `areAllRight`: a quicker look at all of them. When it is sure of them all, that is enough; if not, it says nothing.
 */
export async function expectForEach<Example>(
  examples: fc.Arbitrary<Example>,
  count: number,
  expectIt: (example: Example) => Promise<void>,
  isSpent: () => boolean,
  areAllRight?: (drawn: Example[]) => Promise<boolean>,
): Promise<void> {
  const seed = chosenSeed();
  if (await areAllRight?.(fc.sample(examples, { seed, numRuns: count }))) return;
  const property = fc.asyncProperty(examples, async (example) => {
    if (!isSpent()) await expectIt(example);
  });
  const { failed, errorInstance } = await fc.check(property, {
    seed,
    numRuns: count,
    endOnFailure: settings().explain === 'none',
  });
  const { message } = (errorInstance ?? new Error('')) as Error;
  expectThat(!failed, `${message}\n(drawn at random, KATA_SEED=${seed})`);
}

/** One example that follows this run's seed, for a judge whose fixed cases must not be constants that a module could know. */
export function drawOne<Example>(examples: fc.Arbitrary<Example>): Example {
  return fc.sample(examples, { seed: chosenSeed(), numRuns: 1 })[0]!;
}

interface Found<Example> {
  readonly index: number;
  readonly example: Example;
  readonly fault: string;
}

function firstFault<Example, Seen>(
  { fault }: Drawing<Example, Seen>,
  drawn: readonly Example[],
  seen: readonly Seen[],
): Found<Example> | undefined {
  for (const [index, example] of drawn.entries()) {
    const said = index < seen.length ? fault(seen[index]!, example) : 'it was not answered';
    if (said !== undefined) return { index, example, fault: said };
  }
  return undefined;
}

/** After a call about all of them has thrown, hung or ended the process: finds the example that does it. */
async function askOneByOne<Example, Seen>(
  drawing: Drawing<Example, Seen>,
  drawn: readonly Example[],
): Promise<Found<Example> | undefined> {
  for (const [index, example] of drawn.entries()) {
    const seen = await drawing.ask([example]).catch(({ message, stack = '' }: Error) => {
      throw new SubjectError(`${drawing.inWords(example)}: ${message}`, stack.replace(/^.*\n?/, ''));
    });
    const found = firstFault(drawing, [example], seen);
    if (found) return { ...found, index };
  }
  return undefined;
}

/** The smallest example that can be had from this one; it, when there is none, or when the module does not err again. */
async function smaller<Example, Seen>(
  drawing: Drawing<Example, Seen>,
  found: Found<Example>,
  seed: number,
): Promise<Found<Example>> {
  let smallest = found;
  const holds = fc.asyncProperty(drawing.examples, async (example) => {
    const seen = await drawing.ask([example]).catch(() => undefined);
    const again = seen && firstFault(drawing, [example], seen);
    if (again) smallest = again;
    return again === undefined;
  });
  await fc.check(holds, { seed, path: String(found.index), numRuns: 1, interruptAfterTimeLimit: shrinkingMs });
  return smallest;
}
