import type { ChartScore } from './score.ts';
import { safe } from './safe-markup.ts';

const plot = { left: 62, top: 34, width: 420, height: 180 };
const whole = { width: plot.left + plot.width + 12, height: plot.top + plot.height + 44 };
/** More labels than this would overlap. */
const mostTicks = 10;
/** Up to this many points are drawn in different sizes, so that all are visible where they overlap. */
const fewPoints = 40;
const colors = 6;
/** Different dashes keep overlapping lines apart. */
const dashes = ['', '6 4', '2 3'];
const radii = [7, 5, 3];

/** Values of one axis, as positions between `from` and `to`. */
interface Axis {
  readonly ticks: readonly number[];
  at(value: number): number;
}

/** Draws a chart as SVG. Its colors are variables of the page, so that it can be read in light and dark mode. */
export function chartSvg({ unit, xLabel, series, limit }: ChartScore): string {
  const points = series.flatMap((one) => one.points);
  const x = xAxis(points.map(([value]) => value));
  const y = yAxis([...points.map(([, value]) => value), ...(limit ? [limit.y] : [])]);
  const bottom = plot.top + plot.height;
  const right = plot.left + plot.width;
  const middle = plot.left + plot.width / 2;
  return [
    // No width and height: the page scales it.
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 ${whole.width} ${whole.height}" font-family="sans-serif" font-size="11">`,
    line([plot.left, bottom], [right, bottom], 'stroke="var(--faint)"'),
    ...x.ticks.flatMap((tick) => [
      line([x.at(tick), bottom], [x.at(tick), bottom + 5], 'stroke="var(--faint)"'),
      words([x.at(tick), bottom + 17], 'middle', formatted(tick, x.ticks)),
    ]),
    words([middle, bottom + 35], 'middle', xLabel),
    ...y.ticks.flatMap((tick) => [
      line([plot.left, y.at(tick)], [right, y.at(tick)], 'stroke="var(--rule)"'),
      words([plot.left - 7, y.at(tick) + 4], 'end', formatted(tick, y.ticks)),
    ]),
    words([14, plot.top + plot.height / 2], 'middle', unit, {
      more: `transform="rotate(-90 14 ${plot.top + plot.height / 2})"`,
    }),
    ...legend(series.map(({ name }) => name)),
    ...(limit
      ? [
          line([plot.left, y.at(limit.y)], [right, y.at(limit.y)], 'stroke="var(--bad)" stroke-dasharray="3 3"'),
          words([right, y.at(limit.y) - 4], 'end', limit.label, { fill: 'var(--bad)' }),
        ]
      : []),
    ...series.flatMap((one, index) => {
      const places = one.points.map(([px, py]) => [round(x.at(px)), round(y.at(py))] as const);
      const radius = points.length > fewPoints ? 1.5 : radii[index % radii.length];
      return [
        `<polyline fill="none" ${strokeOf(index)} points="${places.map((place) => place.join()).join(' ')}"/>`,
        ...places.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="${radius}" fill="${colorOf(index)}"/>`),
      ];
    }),
    '</svg>',
  ].join('');
}

/** From the lowest to the highest value. Few whole numbers get one tick each. */
function xAxis(values: readonly number[]): Axis {
  const isCounted = values.every(Number.isInteger);
  const [low, high] = boundsOf(values);
  const distinct = [...new Set(values)].toSorted((one, other) => one - other);
  const ticks =
    isCounted && distinct.length <= mostTicks ? distinct : ticksBetween(low, high, stepOf(high - low, mostTicks));
  return { ticks, at: (value) => round(plot.left + ((value - low) / (high - low || 1)) * plot.width) };
}

/** From 0, or from the lowest value when that is below, to the first tick above the highest value. */
function yAxis(values: readonly number[]): Axis {
  const [lowest, highest] = boundsOf([0, ...values]);
  const room = highest - lowest || 1;
  const step = stepOf(room * 1.1, 5);
  // No fractions where only whole numbers were counted.
  const shownStep = values.every(Number.isInteger) ? Math.max(1, step) : step;
  const low = Math.floor(lowest / shownStep) * shownStep;
  const high = Math.ceil((lowest + room * 1.1) / shownStep) * shownStep;
  return {
    ticks: ticksBetween(low, high, shownStep),
    at: (value) => round(plot.top + plot.height - ((value - low) / (high - low)) * plot.height),
  };
}

function boundsOf(values: readonly number[]): [low: number, high: number] {
  return values.length === 0 ? [0, 1] : [Math.min(...values), Math.max(...values)];
}

/** The distance of about `count` ticks over `span`: 1, 2 or 5 times a power of ten. */
function stepOf(span: number, count: number): number {
  const raw = (span || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 5, 10].toSorted((one, other) => distance(one, raw / power) - distance(other, raw / power))[0]!;
  return factor * power;
}

/** How far apart two numbers are as factors. */
function distance(one: number, other: number): number {
  return Math.abs(Math.log(one / other));
}

function ticksBetween(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  // Not `+ step` each time, which would add up its rounding.
  return Array.from({ length: last - first + 1 }, (_tick, index) => Number(((first + index) * step).toPrecision(12)));
}

/** As people write numbers: `1,500`, `0.05`, and `2.5M` on an axis that goes beyond a million. */
function formatted(value: number, ticks: readonly number[]): string {
  const highest = Math.max(...ticks.map(Math.abs));
  const [divisor, letter] = highest >= 1e9 ? [1e9, 'G'] : highest >= 1e6 ? [1e6, 'M'] : [1, ''];
  return `${(value / divisor).toLocaleString('en-US', { maximumSignificantDigits: 12 })}${letter}`;
}

function legend(names: readonly string[]): string[] {
  return names.flatMap((name, index) => {
    const left = plot.left + (index % 2) * (plot.width / 2);
    const top = 10 + Math.floor(index / 2) * 14;
    return [line([left, top], [left + 18, top], strokeOf(index)), words([left + 24, top + 4], 'start', name)];
  });
}

function line([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number], stroke: string): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" ${stroke}/>`;
}

function words(
  [x, y]: readonly [number, number],
  anchor: 'start' | 'middle' | 'end',
  text: string,
  { fill = 'var(--soft)', more = '' } = {},
): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${fill}" ${more}>${safe(text)}</text>`;
}

function strokeOf(index: number): string {
  const dash = dashes[index % dashes.length];
  return `stroke="${colorOf(index)}" stroke-width="2"${dash ? ` stroke-dasharray="${dash}"` : ''}`;
}

function colorOf(index: number): string {
  return `var(--line-${(index % colors) + 1})`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
