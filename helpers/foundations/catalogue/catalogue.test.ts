import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../processes/test-folder.ts';
import { chooseKatas, readKata } from './catalogue.ts';

const frontMatter = ['title: A kata', 'track: Tracks', 'level: mid', 'minutes: 30', 'needs: []', 'starterBreaks: [1]'];
const promises =
  '## Promises\n\n### core\n\n1. It adds.\n2. It adds\n   twice.\n\n### stretch\n\n3. It *never* subtracts.\n';

test('reads front matter and promises, with their tiers, in the README’s own words', async () => {
  const root = await repositoryWith(readme(frontMatter, promises));

  const kata = readKata('one', root);

  expect(kata).toMatchObject({ slug: 'one', level: 'mid', minutes: 30, needs: [], starterBreaks: [1] });
  expect(kata.promises).toEqual([
    { number: 1, tier: 'core', text: 'It adds.' },
    { number: 2, tier: 'core', text: 'It adds twice.' },
    { number: 3, tier: 'stretch', text: 'It *never* subtracts.' },
  ]);
});

test.for<[fault: string, text: string, sentence: string]>([
  ['no front matter', promises, 'does not begin with front matter'],
  ['no promises', readme(frontMatter, '## Promises\n'), 'has no numbered promises'],
  [
    'an unknown level',
    readme([...frontMatter.filter((line) => !line.startsWith('level')), 'level: guru'], promises),
    'front matter "level" is "guru"',
  ],
  [
    'an unknown need',
    readme([...frontMatter.filter((line) => !line.startsWith('needs')), 'needs: [gpu]'], promises),
    'front matter "needs" is ["gpu"]',
  ],
  [
    'a starter that breaks no known promise',
    readme([...frontMatter.slice(0, -1), 'starterBreaks: [9]'], promises),
    'front matter "starterBreaks" is [9]',
  ],
  ['front matter that is no YAML', readme(['title: "'], promises), 'front matter cannot be read'],
])('%s is one sentence that names the file', async ([, text, sentence]) => {
  const root = await repositoryWith(text);

  expect(() => readKata('one', root)).toThrow(
    new RegExp(`^katas/one/README\\.md.*${sentence.replace(/[[\]]/g, '\\$&')}`),
  );
});

test('an unknown kata is refused with the nearest name, nothing is all of them', async () => {
  const root = await repositoryWith(readme(frontMatter, promises));

  expect(() => chooseKatas(['on'], root)).toThrow('There is no kata "on". Did you mean one?');
  expect(chooseKatas([], root)).toEqual(['one']);
});

test.for(['katas/one', './katas/one/', 'katas/one/one.ts', 'katas\\one\\one.ts', '/home/jane/katas/one/one.ts'])(
  'a path to the kata names it: %s',
  async (typed) => {
    const root = await repositoryWith(readme(frontMatter, promises));

    expect(chooseKatas([typed], root)).toEqual(['one']);
  },
);

test.for([
  ['rase', 'race-condition'],
  ['race', 'race-condition'],
  ['memory', 'memory-leak'],
  ['back-presure', 'backpressure'],
  ['emiter', 'event-emitter'],
] as const)('whoever types %s is asked for %s', ([typed, slug]) => {
  expect(() => chooseKatas([typed])).toThrow(`Did you mean ${slug}?`);
});

function readme(fields: readonly string[], body: string): string {
  return `---\n${fields.join('\n')}\n---\n\n# A kata\n\n${body}`;
}

async function repositoryWith(text: string): Promise<string> {
  const root = await testFolder(onTestFinished);
  await mkdir(join(root, 'katas/one'), { recursive: true });
  await writeFile(join(root, 'katas/one/README.md'), text);
  return root;
}
