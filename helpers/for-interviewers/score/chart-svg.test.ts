import { expect, test } from 'vitest';
import { chartSvg } from './chart-svg.ts';

test.each([
  ['hundreds with a fraction', 256.2, ['0', '50', '100', '150', '200', '250', '300']],
  ['thousands', 4200, ['0', '1,000', '2,000', '3,000', '4,000', '5,000']],
  ['less than one', 0.3, ['0', '0.05', '0.1', '0.15', '0.2', '0.25', '0.3', '0.35']],
  ['millions', 2_200_000, ['0M', '0.5M', '1M', '1.5M', '2M', '2.5M']],
])('an axis of %s is written as people write numbers', async (_what, highest, labels) => {
  const points = [0, highest].map((value, index) => [index, value] as const);

  const svg = await chartSvg({ title: 'read', unit: 'MB', xLabel: 'step', series: [{ name: 'server', points }] });

  const texts = [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text);
  expect(texts).toEqual(['0', '1', 'step', ...labels, 'MB', 'server']);
});
