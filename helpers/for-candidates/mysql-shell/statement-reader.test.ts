// Path: statement-reader.ts. Window: a `;` where it ends nothing, an end spread over lines, a command in between.
// Invariant: what the server gets is what was typed, one statement at a time, and for the session that was meant.
import { expect, test } from 'vitest';
import { StatementReader } from './statement-reader.ts';

function read(...lines: string[]) {
  const reader = new StatementReader();
  return [...lines.flatMap((line) => reader.readLine(line)), ...reader.finish()];
}

function statements(...lines: string[]): string[] {
  return read(...lines).map((input) => (input.kind === 'statement' ? input.sql : `${input.kind}!`));
}

test.each([
  ['two on a line', ['SELECT 1; SELECT 2;'], ['SELECT 1', 'SELECT 2']],
  ['over several lines', ['SELECT 1,', '', '  2', ';'], ['SELECT 1,\n\n  2']],
  ['the last without an end', ['SELECT 1; SELECT', ' 2'], ['SELECT 1', 'SELECT\n 2']],
  ['nothing between two ends', [';; SELECT 1;;', ' ; '], ['SELECT 1']],
  ['in single quotes', ["SELECT 'a;b';"], ["SELECT 'a;b'"]],
  ['in double quotes', ['SELECT "a;\'b";'], ['SELECT "a;\'b"']],
  ['in backticks', ['SELECT 1 AS `a;\\`;'], ['SELECT 1 AS `a;\\`']],
  ['after a doubled quote', ["SELECT 'it''s; here';"], ["SELECT 'it''s; here'"]],
  ['after an escaped quote', ["SELECT 'it\\'s; here', '\\\\';"], ["SELECT 'it\\'s; here', '\\\\'"]],
  ['in quotes over lines', ["SELECT 'a;", "b;';"], ["SELECT 'a;\nb;'"]],
  ['a quote in another kind of quotes', ['SELECT "it\'s"; SELECT 2;'], ['SELECT "it\'s"', 'SELECT 2']],
  [
    'in a comment to the end of the line',
    ['SELECT 1 -- not; here', '# nor; here', ';'],
    ['SELECT 1 -- not; here\n# nor; here'],
  ],
  ['two minus signs', ['SELECT 5--1; SELECT 2;'], ['SELECT 5--1', 'SELECT 2']],
  ['in a comment with two ends', ["SELECT /* it's; */ 1;"], ["SELECT /* it's; */ 1"]],
  ['in a comment over lines', ['SELECT 1 /* a;', 'b; */;'], ['SELECT 1 /* a;\nb; */']],
  ['a comment before a statement', ['-- first', 'SELECT 1;'], ['-- first\nSELECT 1']],
  ['comments alone', ['-- nothing;', '/* nothing; */;', '# nothing'], []],
  ['a comment that the server reads', ['/*! SELECT 1 */;'], ['/*! SELECT 1 */']],
  ['an open quote at the end', ["SELECT 'a;"], ["SELECT 'a;"]],
  [
    'DELIMITER',
    ['DELIMITER //', 'CREATE TRIGGER t BEGIN SET @a = 1; END//', 'delimiter ;', 'SELECT 1;'],
    ['CREATE TRIGGER t BEGIN SET @a = 1; END', 'SELECT 1'],
  ],
])('cuts statements: %s', (_name, lines, expected) => {
  const found = statements(...lines);

  expect(found).toEqual(expected);
});

test('\\1 and \\2 before a statement choose its session, to its end', () => {
  const inputs = read('\\2 SELECT 1,', ' 2; SELECT 3;', 'SELECT 4;', '\\1 SELECT 5; SELECT 6;');

  expect(inputs.map((input) => input.kind === 'statement' && [input.sql, input.session])).toEqual([
    ['SELECT 1,\n 2', 2],
    ['SELECT 3', 2],
    ['SELECT 4', undefined],
    ['SELECT 5', 1],
    ['SELECT 6', 1],
  ]);
});

test('a word for the shell stands on a line of its own', () => {
  const inputs = read('\\2', ' \\sessions ', '\\cancel 2', 'exit', 'QUIT;', 'help', '\\q');

  expect(inputs).toEqual([
    { kind: 'command', name: '2', rest: '' },
    { kind: 'command', name: 'sessions', rest: '' },
    { kind: 'command', name: 'cancel', rest: '2' },
    { kind: 'command', name: 'q', rest: '' },
    { kind: 'command', name: 'q', rest: '' },
    { kind: 'command', name: 'help', rest: '' },
    { kind: 'command', name: 'q', rest: '' },
  ]);
});

test('within quotes nothing is a word for the shell', () => {
  const found = statements("INSERT INTO t VALUES ('", '\\2', 'exit', "');");

  expect(found).toEqual(["INSERT INTO t VALUES ('\n\\2\nexit\n')"]);
});

test('a statement that a command cuts off is told and not run', () => {
  const inputs = read('UPDATE t SET a = 1', '\\2 SELECT 1;');

  expect(inputs).toEqual([
    { kind: 'unfinished', sql: 'UPDATE t SET a = 1' },
    { kind: 'statement', sql: 'SELECT 1', session: 2, vertical: false },
  ]);
});

test('\\G ends a statement that is shown one column a line', () => {
  const inputs = read("SELECT '\\\\G' \\G", 'SELECT 2', '\\G', 'SELECT 3;');

  expect(inputs.map((input) => input.kind === 'statement' && [input.sql, input.vertical])).toEqual([
    ["SELECT '\\\\G'", true],
    ['SELECT 2', true],
    ['SELECT 3', false],
  ]);
});

test('says what is half-typed, and by what it is open', () => {
  const reader = new StatementReader();
  const seen = ['SELECT 1', " + '", "x' /*", '*/ ;', '-- a comment', ''].map((line) => {
    reader.readLine(line);
    return reader.isHalfTyped && reader.openedBy;
  });

  expect(seen).toEqual(['-', "'", '/', false, false, false]);
});
