import type { Spec } from 'vega';
import type { Chart } from '../../judging/verdict/chart.ts';

const width = 420;
const height = 180;
/** More labels than these below an axis run into each other. */
const mostTicks = 10;
/** So few points are marked so that each is seen, also where they lie upon each other. */
const fewPoints = 40;

/** Draws a chart as SVG. Its colours are variables of the page, so that it is read by day and by night. */
export async function chartSvg(chart: Chart): Promise<string> {
  // Half a second to import, and most scores have no chart.
  const vega = await import('vega');
  const view = new vega.View(vega.parse(specOf(chart)), { renderer: 'none' });
  try {
    const svg = await view.toSVG();
    // The page scales it to the room that there is.
    return svg.replace(/^<svg ([^>]*?)width="\d+" height="\d+"/, '<svg $1role="img"');
  } finally {
    view.finalize();
  }
}

/** Five steps at most, and none between two whole numbers where only whole ones were counted. */
function fewSteps(values: readonly number[]): number {
  return values.every(Number.isInteger) ? Math.min(5, Math.max(...values)) : 5;
}

/** `1,500` and never `1.5e+3`, but `2M`. */
function formatOf(values: readonly number[]): string {
  return Math.max(...values) < 1e6 ? ',~r' : '~s';
}

function specOf({ unit, xLabel, series, limit }: Chart): Spec {
  const values = series.flatMap(({ name, points }) => points.map(([x, y]) => ({ name, x, y })));
  const xs = values.map(({ x }) => x);
  const isCounted = xs.every(Number.isInteger);
  const ys = [0, ...values.map(({ y }) => y), ...(limit ? [limit.y] : [])];
  const colours = series.map((_series, index) => `var(--line-${(index % 6) + 1})`);
  const axis = {
    domainColor: 'var(--faint)',
    gridColor: 'var(--rule)',
    labelColor: 'var(--soft)',
    labelFontSize: 11,
    tickColor: 'var(--faint)',
    titleColor: 'var(--soft)',
    titleFontSize: 11,
    titleFontWeight: 'normal' as const,
  };
  return {
    width,
    height,
    padding: 6,
    data: [
      { name: 'points', values },
      { name: 'limit', values: limit ? [limit] : [] },
    ],
    scales: [
      { name: 'x', type: 'linear', domain: [Math.min(...xs), Math.max(...xs)], range: 'width', zero: false },
      { name: 'y', type: 'linear', domain: [Math.min(...ys), Math.max(...ys) * 1.1], range: 'height', nice: true },
      { name: 'colour', type: 'ordinal', domain: series.map(({ name }) => name), range: colours },
      // Lines and points that lie upon each other are told apart by their dashes and sizes.
      {
        name: 'dash',
        type: 'ordinal',
        domain: series.map(({ name }) => name),
        range: [
          [1, 0],
          [6, 4],
          [2, 3],
        ],
      },
      { name: 'size', type: 'ordinal', domain: series.map(({ name }) => name), range: [150, 75, 25] },
    ],
    axes: [
      {
        ...axis,
        orient: 'bottom',
        scale: 'x',
        title: xLabel,
        tickCount: mostTicks,
        ...(isCounted && new Set(xs).size <= mostTicks && { values: [...new Set(xs)] }),
        ...(isCounted && { format: formatOf(xs) }),
      },
      { ...axis, orient: 'left', scale: 'y', title: unit, grid: true, tickCount: fewSteps(ys), format: formatOf(ys) },
    ],
    legends: [
      {
        stroke: 'colour',
        strokeDash: 'dash',
        symbolType: 'stroke',
        symbolStrokeWidth: 2,
        orient: 'top',
        direction: 'horizontal',
        columns: 2,
        labelColor: 'var(--soft)',
        labelFontSize: 11,
        labelLimit: 0,
      },
    ],
    marks: [
      {
        type: 'rule',
        from: { data: 'limit' },
        encode: {
          enter: {
            x: { value: 0 },
            x2: { value: width },
            y: { scale: 'y', field: 'y' },
            stroke: { value: 'var(--bad)' },
            strokeDash: { value: [3, 3] },
          },
        },
      },
      {
        type: 'text',
        from: { data: 'limit' },
        encode: {
          enter: {
            x: { value: width },
            y: { scale: 'y', field: 'y', offset: -4 },
            align: { value: 'right' },
            fill: { value: 'var(--bad)' },
            fontSize: { value: 11 },
            text: { field: 'label' },
          },
        },
      },
      {
        type: 'group',
        from: { facet: { name: 'one', data: 'points', groupby: 'name' } },
        marks: [
          {
            type: 'line',
            from: { data: 'one' },
            encode: {
              enter: {
                x: { scale: 'x', field: 'x' },
                y: { scale: 'y', field: 'y' },
                stroke: { scale: 'colour', field: 'name' },
                strokeDash: { scale: 'dash', field: 'name' },
                strokeWidth: { value: 2 },
              },
            },
          },
          {
            type: 'symbol',
            from: { data: 'one' },
            encode: {
              enter: {
                x: { scale: 'x', field: 'x' },
                y: { scale: 'y', field: 'y' },
                fill: { scale: 'colour', field: 'name' },
                size: values.length > fewPoints ? { value: 8 } : { scale: 'size', field: 'name' },
              },
            },
          },
        ],
      },
    ],
  };
}
