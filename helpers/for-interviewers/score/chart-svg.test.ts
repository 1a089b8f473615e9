import { expect, test } from 'vitest';
import { chartSvg } from './chart-svg.ts';
import type { ChartScore } from './score.ts';

test.each([
  ['hundreds with a fraction', 256.2, ['0', '50', '100', '150', '200', '250', '300']],
  ['thousands', 4200, ['0', '1,000', '2,000', '3,000', '4,000', '5,000']],
  ['less than one', 0.3, ['0', '0.05', '0.1', '0.15', '0.2', '0.25', '0.3', '0.35']],
  ['millions', 2_200_000, ['0M', '0.5M', '1M', '1.5M', '2M', '2.5M']],
  ['billions', 1_900_000_000, ['0G', '0.5G', '1G', '1.5G', '2G', '2.5G']],
  ['counts below five', 2, ['0', '1', '2', '3']],
  ['nothing but zero', 0, ['0', '1', '2']],
])('an axis of %s is written as people write numbers', (_what, highest, labels) => {
  const points = [0, highest].map((value, index) => [index, value] as const);

  const svg = chartSvg(chartOf({ series: [{ name: 'server', points }] }));

  expect(textsOf(svg)).toEqual(['0', '1', 'step', ...labels, 'MB', 'server']);
});

test('many steps share few labels', () => {
  const points = Array.from({ length: 101 }, (_point, index) => [index, 1] as const);

  const svg = chartSvg(chartOf({ series: [{ name: 'server', points }] }));

  expect(textsOf(svg).slice(0, 12)).toEqual(['0', '10', '20', '30', '40', '50', '60', '70', '80', '90', '100', 'step']);
});

test('a point lies where the labels of both axes say, and so does the limit', () => {
  const svg = chartSvg(
    chartOf({
      series: [
        {
          name: 'one',
          points: [
            [0, 0],
            [5, 50],
            [10, 100],
          ],
        },
        { name: 'other', points: [[0, -50]] },
      ],
      limit: { label: 'at most', y: 75 },
    }),
  );

  const at = (label: string) => new RegExp(`<text x="([\\d.]+)" y="([\\d.]+)"[^>]*>${label}<`).exec(svg)!;
  const [first, middle, last] = ['0', '5', '10'].map((label) => Number(at(label)[1]));
  const [fifty, hundred, below] = ['50', '100', '-50'].map((label) => Number(at(label)[2]) - 4);
  const zero = (fifty! + below!) / 2;
  expect(placesOf(svg)).toEqual([`${first},${zero} ${middle},${fifty} ${last},${hundred}`, `${first},${below}`]);
  expect(svg).toContain(`y1="${(fifty! + hundred!) / 2}" x2="482" y2="${(fifty! + hundred!) / 2}" stroke="var(--bad)"`);
});

test.each<[string, Partial<ChartScore>]>([
  ['no series', { series: [] }],
  ['a series that has no points yet', { series: [{ name: 'server', points: [] }] }],
  ['a single point', { series: [{ name: 'server', points: [[3, 7]] }] }],
  [
    'a point that is there twice',
    {
      series: [
        {
          name: 'server',
          points: [
            [3.5, 7.5],
            [3.5, 7.5],
          ],
        },
      ],
    },
  ],
])('%s can be drawn', (_what, some) => {
  const svg = chartSvg(chartOf(some));

  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  expect(svg.match(/<circle/g) ?? []).toHaveLength(some.series!.flatMap(({ points }) => points).length);
});

test('its words cannot be markup', () => {
  const hostile = '</text><script>"&';

  const svg = chartSvg(
    chartOf({
      unit: hostile,
      xLabel: hostile,
      series: [{ name: hostile, points: [[1, 1]] }],
      limit: { label: hostile, y: 2 },
    }),
  );

  expect(svg).not.toMatch(/<script|"&/);
  expect(svg.match(/&#60;\/text&#62;&#60;script&#62;&#34;&#38;/g)).toHaveLength(4);
});

function chartOf(some: Partial<ChartScore>): ChartScore {
  return { title: 'read', unit: 'MB', xLabel: 'step', series: [], ...some };
}

function textsOf(svg: string): string[] {
  return [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text!);
}

function placesOf(svg: string): string[] {
  return [...svg.matchAll(/<polyline[^>]* points="([^"]*)"/g)].map(([, points]) => points!);
}
