import { describe, expect, test } from 'vitest';
import { equivalentItem, parseEquivalents } from './equivalent.ts';
import { mutantsOf, sample } from './mutate.ts';

describe('what is mutated', () => {
  test.for<[operator: string, text: string, mutated: string[]]>([
    ['condition', 'if (ready) go;', ['if (!(ready)) go;']],
    ['condition', 'const x = a === b || c;', ['const x = a !== b || c;', 'const x = a === b && c;']],
    ['boundary', 'const x = a < b;', ['const x = a <= b;']],
    ['boundary', 'const x = a.b(c < d) >= e;', ['const x = a.b(c < d) > e;', 'const x = a.b(c <= d) >= e;']],
    ['arithmetic', 'const x = a + b;', ['const x = a - b;']],
    ['arithmetic', "const x = a + 'text';", []],
    ['arithmetic', 'for (;;) a++;', ['for (;;) a--;']],
    ['await', 'const x = await f(1n);', ['const x = f(1n);']],
    ['statement', 'f(); g();', ['; g();', 'f(); ;']],
    ['block', 'function f() { const a = 2; return a; }', ['function f() {}']],
    [
      'literal',
      "const x = [true, 0, 1, '', 2, 'a'];",
      [
        "const x = [false, 0, 1, '', 2, 'a'];",
        "const x = [true, 1, 1, '', 2, 'a'];",
        "const x = [true, 0, 0, '', 2, 'a'];",
        "const x = [true, 0, 1, 'mutant', 2, 'a'];",
      ],
    ],
    ['literal', "import '';\ntype X = 1 | true;\nconst x: 0 = y as 1; const z = { 0: 2 };", []],
  ])('%s: %s', ([operator, text, mutated]) => {
    const own = mutantsOf(text, 'x.ts').filter((mutant) => mutant.operator === operator);
    expect(own.map((mutant) => mutant.text).sort()).toEqual(mutated.toSorted());
  });

  test('a mutant knows its line, before and after', () => {
    const found = mutantsOf('// é\nconst a = 2;\n  if (a < 3) {\n    f();\n    g();\n  }\n', 'x.ts');
    expect(found.map(({ line, before, after }) => [line, before, after])).toEqual([
      [3, 'if (a < 3) {', 'if (!(a < 3)) {'],
      [3, 'if (a < 3) {', 'if (a <= 3) {'],
      [3, 'if (a < 3) {', 'if (a < 3) {}'],
      [4, 'f();', ';'],
      [5, 'g();', ';'],
    ]);
  });

  test('a module that cannot be parsed is one sentence', () => {
    expect(() => mutantsOf('const = ;', 'solutions/x/x.ts')).toThrow(/^solutions\/x\/x\.ts cannot be parsed: /);
  });
});

test('a sample is spread evenly, and always the same', () => {
  const all = Array.from({ length: 10 }, (_, index) => index);
  expect(sample(all, 3)).toEqual([1, 5, 8]);
  expect(sample(all, 10)).toEqual(all);
  expect(sample(all, Infinity)).toEqual(all);
});

describe('the list of equivalent mutants', () => {
  test('an item that is printed for a survivor can be read back', () => {
    const lines = [
      { before: 'if (a < 3) {', after: 'if (a <= 3) {' },
      { before: 'f(`${a}`);', after: ';' },
    ];
    const text = `# Equivalent\n\nProse.\n\n${lines.map(equivalentItem).join('\n')}\n`;
    expect(parseEquivalents(text, 'mutants.md')).toEqual(lines.map((one) => ({ ...one, why: 'why' })));
  });

  test('an item of another form is quoted', () => {
    expect(() => parseEquivalents('- something\n', 'mutants.md')).toThrow(
      'mutants.md has an item of another form: "- something".',
    );
  });
});
