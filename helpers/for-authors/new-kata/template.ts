/** Marks what an author has to write. */
export const todo = 'TODO';

/** The files of a new kata, by their paths. It compiles, its starter breaks its one promise, and its solution keeps it. */
export function templateOf(slug: string): Record<string, string> {
  const title = slug.replaceAll('-', ' ').replace(/^./, (letter) => letter.toUpperCase());
  return {
    [`katas/${slug}/README.md`]: `---
title: ${title}
track: ${todo}
level: mid
minutes: 30
needs: []
starterBreaks: [1]
---

# ${title}

## Situation

${todo}: at most 80 words.

## The module

\`${slug}.ts\`, the only file that you edit:

\`\`\`ts
/** ${todo} */
function double(value: number): number;
\`\`\`

## Promises

### core

1. \`double(21)\` returns 42.

## What the judge does

| promise | what the judge does | limit |
| --- | --- | --- |
| 1 | ${todo} | ${todo} |

## Example

${todo}

## Out of scope

${todo}

## Run it

\`\`\`sh
npm test ${slug}
\`\`\`

## Hints

<details><summary>A first hint</summary>

${todo}

</details>
`,
    [`katas/${slug}/${slug}.ts`]:
      '/** Doubles a number. */\nexport function double(value: number): number {\n  return value;\n}\n',
    [`solutions/${slug}/${slug}.ts`]:
      '/** Doubles a number. */\nexport function double(value: number): number {\n  return value * 2;\n}\n',
    [`solutions/${slug}/NOTES.md`]: `# ${title}: notes for interviewers\n\n${todo}: why it works, rubric by promise, follow-up questions, common mistakes.\n`,
    [`tests/${slug}/inside.ts`]: `import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/${slug}/${slug}.ts';

/** Calls the module in its own process. */
export function double({ kata, args }: Inside<typeof Kata, number>): number {
  return kata.double(args);
}
`,
    [`tests/${slug}/${slug}.test.ts`]: `import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/${slug}/${slug}.ts';
import { double } from './inside.ts';

const test = judge<typeof Kata>('${slug}');

describe('core', () => {
  test('\`double(21)\` returns 42.', async ({ subject }) => {
    expect(await subject.run(double, 21), 'double(21)').toBe(42);
  });
});
`,
  };
}
