import { describe, expect, test } from 'vitest';
import { collectingLogger } from './logger.ts';

describe('collectingLogger', () => {
  test('keeps every call in order, with its level', () => {
    const { logger, entries } = collectingLogger(['info', 'error']);
    const { info, error } = logger;

    info({ id: 1 });
    error({ id: 2 });
    info('third');

    expect(entries.map(({ level, line }) => [level, line])).toEqual([
      ['info', { id: 1 }],
      ['error', { id: 2 }],
      ['info', 'third'],
    ]);
  });

  test('keeps a line as it was when it was written', () => {
    const { logger, entries } = collectingLogger(['log']);
    const line = { user: { name: 'ann' } };

    logger.log(line);
    line.user.name = 'bob';

    expect(entries[0]!.line).toEqual({ user: { name: 'ann' } });
    expect(entries[0]!.text).toContain('ann');
    expect(entries[0]!.text).not.toContain('bob');
  });

  test('says why JSON cannot write a line', () => {
    const { logger, entries } = collectingLogger(['log']);
    const line: { self?: unknown } = {};
    line.self = line;

    logger.log(line);
    logger.log({ size: 1n });
    logger.log();

    expect(entries[0]!.line).toBeUndefined();
    expect(entries[0]!.fault).toContain('circular');
    expect(entries[1]!.fault).toContain('BigInt');
    expect(entries[2]!).toEqual({ level: 'log', line: undefined, text: '' });
  });

  test.each([
    ['the message of an error', new Error('hunter2')],
    ['the cause of an error', new Error('failed', { cause: new Error('hunter2') })],
    ['a property that is not enumerable', Object.defineProperty({}, 'secret', { value: 'hunter2' })],
    [
      'a getter',
      {
        get secret() {
          return 'hunter2';
        },
      },
    ],
    ['a Map in a Map', new Map([['a', new Map([['b', 'hunter2']])]])],
    ['a long array', Array.from({ length: 1000 }, (_, at) => (at === 999 ? 'hunter2' : ''))],
    ['a deep object', JSON.parse(`${'{"a":'.repeat(50)}"hunter2"${'}'.repeat(50)}`)],
    ['a class that hides itself', { secret: 'hunter2', [Symbol.for('nodejs.util.inspect.custom')]: () => 'nothing' }],
  ])('finds a secret in %s', (_, part: unknown) => {
    const { logger, entries } = collectingLogger(['log']);

    logger.log({ harmless: true });
    logger.log('a message', part);

    expect(entries[0]!.text).not.toContain('hunter2');
    expect(entries[1]!.text).toContain('hunter2');
  });

  test('survives what cannot be read', () => {
    const { logger, entries } = collectingLogger(['log']);
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();

    logger.log(proxy);

    expect(entries[0]!.fault).toContain('revoked');
  });

  test('throws what onEntry throws, after it has kept the entry', () => {
    const { logger, entries } = collectingLogger(['log'], () => {
      throw new Error('The disk is full.');
    });

    expect(() => logger.log('a')).toThrow('The disk is full.');
    expect(entries).toHaveLength(1);
  });
});
