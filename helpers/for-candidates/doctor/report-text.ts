import type { Paint } from '../../foundations/command-line/terminal.ts';
import wrapAnsi from 'wrap-ansi';
import { type Report, testedNodes } from './report.ts';

const width = 79;
const indent = 10;
const lowBytes = 1024 ** 3;

/** The report for a person: a mark and a line or two for each thing, 80 columns at most where a path allows it. */
export function reportText(report: Report, paint: Paint): string {
  const lines = [
    ...nodeLines(report, paint),
    ...mysqlLines(report, paint),
    ...placeLines(report, paint),
    ...kataLines(report, paint),
    '',
  ];
  const broken = report.katas.filter(({ canRun }) => !canRun).length;
  lines.push(
    broken === 0
      ? paint('green', 'Every kata can run here.')
      : paint('red', `${broken} of ${report.katas.length} katas cannot run here.`),
  );
  return lines.join('\n');
}

function nodeLines({ node }: Report, paint: Paint): string[] {
  const own = `${node.version}, ${node.isOurs ? 'from "npm ci"' : 'your own'}: ${node.file}`;
  if (node.isTested) return item('Node', yes(paint), own);
  const tested = testedNodes.join(' and ');
  if (node.isSupported)
    return item(
      'Node',
      paint('yellow', '!'),
      `${own}. The katas are tested with ${tested}; "npm ci" brings one of them.`,
    );
  return item(
    'Node',
    no(paint),
    `${node.version} (${node.file}) is too old; ${tested} serve. Run "npm ci": it brings a Node of its own, and "npm run" then uses it.`,
  );
}

function mysqlLines({ mysql }: Report, paint: Paint): string[] {
  const { serves, setting, problem, sources } = mysql;
  const chosen = sources.find(({ name }) => name === serves)?.probe;
  const refusal = sentenceOf(problem ?? 'None of the sources serves.');
  const lines =
    chosen?.serves === true
      ? item('MySQL', yes(paint), `${serves} serves${setting ? `, as ${setting} says` : ''}: ${chosen.detail}`)
      : item('MySQL', no(paint), refusal);
  for (const { name, probe } of sources) {
    // The one that a setting chose has been told of above.
    if (name === serves || (!probe.serves && refusal.toLowerCase().includes(probe.why.toLowerCase()))) continue;
    const own = probe.serves
      ? `would serve ${setting ? `without ${setting}` : 'too'} (${probe.detail})`
      : `${probe.why}. ${probe.remedy}`;
    lines.push(...item('', ' ', `${paint('dim', `${name}:`)} ${own}`, 2));
  }
  return lines;
}

function placeLines({ cache, machine, places, shortages }: Report, paint: Paint): string[] {
  const isLow = cache.diskFreeBytes < lowBytes || machine.memoryFreeBytes < lowBytes;
  return [
    ...places.flatMap((sentence, index) => item(index === 0 ? 'Folders' : '', no(paint), sentence)),
    ...shortages.flatMap((sentence, index) => item(index === 0 ? 'Limits' : '', no(paint), sentence)),
    ...item('Cache', ' ', `${cache.folder}, ${size(cache.sizeBytes)}. Delete the folder to empty it.`),
    ...item(
      'Machine',
      isLow ? paint('yellow', '!') : ' ',
      `${machine.cores} core${machine.cores === 1 ? '' : 's'}, ${size(machine.memoryFreeBytes)} of memory free, ${size(cache.diskFreeBytes)} of disk free at the cache${isLow ? '. A run wants about 1 GB of each.' : ''}`,
    ),
  ];
}

function kataLines({ katas }: Report, paint: Paint): string[] {
  if (katas.length === 0) return item('Katas', ' ', 'none in katas/');
  return katas.flatMap(({ slug, canRun, why }, index) =>
    item(index === 0 ? 'Katas' : '', canRun ? yes(paint) : no(paint), [slug, why.join(' ')].filter(Boolean).join(': ')),
  );
}

/** A list of reasons has a list's own lines; the sources below say the same in more words. */
function sentenceOf(problem: string): string {
  const [first = ''] = problem.split('\n');
  return first.replace(/ What was tried:$/, '');
}

function item(label: string, mark: string, text: string, deeper = 0): string[] {
  const own = wrapAnsi(text, width - indent - deeper).split('\n');
  const blank = ' '.repeat(indent + deeper);
  return own.map((line, index) =>
    (index === 0
      ? `${label.padEnd(indent - 2)}${mark} ${' '.repeat(deeper)}${line}`
      : `${blank}${deeper ? '  ' : ''}${line}`
    ).trimEnd(),
  );
}

const yes = (paint: Paint) => paint('green', '✓');
const no = (paint: Paint) => paint('red', '✗');

function size(bytes: number): string {
  const gigabytes = bytes / 1024 ** 3;
  return gigabytes >= 1 ? `${gigabytes.toFixed(1)} GB` : `${Math.round(bytes / 1024 ** 2)} MB`;
}
