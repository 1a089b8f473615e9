import { expect, test } from 'vitest';
import { kataSlugs } from '../../foundations/catalogue/catalogue.ts';
import { planOf } from './plan.ts';

const server = 'https://github.example';
const sha = 'a'.repeat(40);
const other = 'b'.repeat(40);
const [first] = kataSlugs();

test('one candidate and one kata are one job', () => {
  expect(planOf({ repository: 'ada/katas', sha, katas: first }, server)).toEqual({
    katas: [first],
    candidates: [{ name: 'ada', source: `${server}/ada/katas#${sha}`, sha }],
    shards: [{ name: 'ada', source: `${server}/ada/katas#${sha}`, kata: first }],
  });
});

test('many candidates are judged in each kata of the catalogue, when none is named', () => {
  const list = [
    { repository: 'ada/katas', sha },
    { repository: 'ada/again', sha: other, name: 'ada-2' },
  ];

  const { candidates, shards } = planOf({ candidates: JSON.stringify(list), repository: undefined }, server);

  expect(candidates.map(({ name }) => name)).toEqual(['ada', 'ada-2']);
  expect(shards.map(({ name, kata }) => `${name} ${kata}`)).toEqual(
    ['ada', 'ada-2'].flatMap((name) => kataSlugs().map((kata) => `${name} ${kata}`)),
  );
});

test.for<[fault: string, inputs: Parameters<typeof planOf>[0], sentence: RegExp]>([
  ['nothing', {}, /^Give either repository and sha, or candidates/],
  ['both ways at once', { repository: 'ada/katas', sha, candidates: '[]' }, /^Give either/],
  ['a short SHA', { repository: 'ada/katas', sha: 'a'.repeat(12) }, /^The sha of ada\/katas is "aaaaaaaaaaaa": give/],
  ['a branch', { repository: 'ada/katas', sha: 'main' }, /"main": give the commit's 40 hexadecimal digits\.$/],
  ['no SHA', { repository: 'ada/katas' }, /is missing: give/],
  ['a script for a name', { repository: 'ada/katas;id', sha }, /^A candidate's repository is "ada\/katas;id": write/],
  ['an option for a name', { repository: '--upload-pack=x/y', sha }, /^A candidate's repository is/],
  ['a list that is none', { candidates: '{"repository":' }, /^candidates is not a JSON list/],
  ['a list of something else', { candidates: '[7]' }, /^A candidate's repository is missing/],
  [
    'a name with a dot',
    { candidates: `[{"repository":"a/b","sha":"${sha}","name":"a.b"}]` },
    /^A candidate's name is "a\.b"/,
  ],
  [
    'two of one name',
    { candidates: JSON.stringify([1, 2].map(() => ({ repository: 'a/b', sha }))) },
    /^Two candidates are called a:/,
  ],
  [
    'an issue that is no number',
    { repository: 'ada/katas', sha, issue: '--web' },
    /^issue is "--web": give its number/,
  ],
  ['an unknown kata', { repository: 'ada/katas', sha, katas: `${first},nope` }, /^There is no kata "nope"/],
  [
    'more than GitHub runs',
    {
      candidates: JSON.stringify(Array.from({ length: 300 }, (_, n) => ({ repository: `a${n}/b`, sha }))),
      katas: first,
    },
    /^300 candidates with 1 katas each are 300 jobs; GitHub runs 256 at once/,
  ],
])('%s is refused in one sentence', ([, inputs, sentence]) => {
  expect(() => planOf(inputs, server)).toThrow(sentence);
});
