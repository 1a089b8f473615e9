import { z } from 'zod';
import { tiers } from '../../foundations/catalogue/catalogue.ts';
import { sandboxes } from '../../judging/subject/sandbox.ts';

// What score.json holds, once for all: the types of score.ts and score.schema.json, for other programs, are made of it.

/** Raise it when a reader of an older score.json could misread a newer one. */
const schemaVersion = 2;

// What has an id is written once, under $defs.
const count = z.int().min(0).meta({ id: 'count' });
const share = z.number().min(0).max(100).meta({ id: 'share' });
const likeness = z.number().min(0).max(1).meta({ id: 'likeness' });
const line = z
  .string()
  .max(1000)
  .regex(/^[^\n\r]*$/)
  .meta({ id: 'line' });
const text = z.string().max(30_000).meta({ id: 'text' });
const commit = z
  .string()
  .regex(/^[0-9a-f]{40,64}$/)
  .nullable();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const tier = z.enum(tiers).meta({ id: 'tier' });
const patch = z.string().max(1_000_000).nullable();
const atMost1000 = <Item extends z.ZodType>(item: Item) => z.array(item).max(1000);

const chart = z
  .strictObject({
    title: line,
    unit: line,
    xLabel: line,
    series: z
      .array(z.strictObject({ name: line, points: z.array(z.tuple([z.number(), z.number()])).max(2000) }))
      .max(20),
    limit: z.strictObject({ label: line, y: z.number() }).exactOptional(),
  })
  .meta({ id: 'chart' });

const tierScore = z
  .strictObject({
    tier,
    held: count,
    of: z.int().min(1),
    weight: share.describe("What the tier adds to this kata's score when all of it is held, of 100."),
  })
  .meta({ id: 'tierScore' });

const promise = z
  .strictObject({
    number: z.int().min(1),
    tier,
    text: line,
    held: z.boolean(),
    judged: z.boolean().describe('A promise that was not judged is not held, and nobody knows whether it is broken.'),
    guard: z
      .boolean()
      .describe('Whether the starter holds it already: losing it costs its weight, and keeping it gives nothing.'),
    weight: share.describe(
      "What it adds to the kata's score when it is held; a guard takes it away when it is broken.",
    ),
    seen: text.nullable(),
    stack: text.nullable(),
    printed: text.nullable(),
    durationMs: count,
    charts: z.array(chart).max(100),
  })
  .meta({ id: 'promise' });

const match = z
  .strictObject({
    name: line,
    ask: text.nullable(),
    breaks: atMost1000(z.int().min(1)),
    similarity: likeness,
  })
  .meta({ id: 'match' });

const diagnosis = z
  .strictObject({
    kind: z
      .enum(['green', 'exact', 'nearest', 'incomplete', 'unjudged'])
      .describe(
        'green: nothing is broken. exact: a known wrong answer breaks the same promises. nearest: none does; the matches come nearest. incomplete: an export is missing. unjudged: the module was not judged to the end.',
      ),
    sentence: text,
    matches: atMost1000(match),
    nearest: z
      .strictObject({ name: line, similarity: likeness })
      .nullable()
      .describe('The correct answer with the nearest text; 1 is the same text but for comments, spacing and names.'),
  })
  .describe('What the broken promises, taken together, look like.');

const diff = z.strictObject({ patch, why: text.nullable() }).describe('A unified diff, or why there is none.');

const kata = z
  .strictObject({
    slug: z
      .string()
      .max(100)
      .regex(/^[a-z0-9][a-z0-9-]*$/),
    title: line,
    level: line,
    score: share,
    tiers: z.array(tierScore).max(3),
    file: z.strictObject({ path: line, sha256, bytes: count }).nullable().describe('The file that was judged.'),
    trouble: text.nullable().describe('Why it was not judged, or not to the end.'),
    stoppedBy: z
      .enum(['limit', 'judge'])
      .nullable()
      .describe('What kept promises from being judged: a limit, or a judge that could not run.'),
    promises: atMost1000(promise).min(1),
    diagnosis,
    diffs: z.strictObject({ fromStarter: diff, toNearest: z.strictObject({ ...diff.shape, name: line }) }).nullable(),
    judgedWith: z.strictObject({
      node: line,
      platform: line,
      mysql: z.strictObject({ source: line, flavour: line, version: line }).nullable(),
      sandbox: z.enum(sandboxes).describe("What held the module's process."),
      seed: z.int32().describe('The same seed draws the same random examples.'),
      durationMs: count,
    }),
  })
  .meta({ id: 'kata' });

/** What `npm run score` writes. All texts in it are harmless. */
export const scoreSchema = z
  .strictObject({
    schemaVersion: z.literal(schemaVersion),
    candidate: z.strictObject({ source: line, kind: z.enum(['file', 'folder', 'archive', 'git']), commit }),
    catalogue: z.strictObject({
      version: line,
      commit,
      hash: sha256.describe('SHA-256 of everything that can change a verdict.'),
    }),
    scoredAt: z.string().regex(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    durationMs: count,
    weights: z
      .strictObject({ core: share, robust: share, stretch: share })
      .describe('What a tier weighs in a kata that has all three.'),
    limits: z.strictObject({ promiseMs: count, kataMs: count, totalMs: count }),
    total: share.describe('The mean over the katas. A lower bound when something was not judged.'),
    katas: atMost1000(kata).min(1),
    notes: atMost1000(text).describe('What is odd about what the candidate sent, one sentence each.'),
  })
  .meta({
    $id: `urn:backend-katas:score:${schemaVersion}`,
    title: 'The score of one candidate, as npm run score writes it',
  });

/** The same as JSON Schema, which is what score.schema.json holds. */
export function scoreJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(scoreSchema), undefined, 2)}\n`;
}
