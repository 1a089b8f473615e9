import { createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { IHeapNode, IHeapSnapshot } from 'memlab';
import { leashedFolder } from '../../foundations/processes/leashed-folder.ts';
import type { Subject } from '../../judging/subject/subject.ts';

/** Objects of one kind that are held in one way. */
export interface Holder {
  /** From the class asked for, or from the nearest thing that has a name, field by field: `Gateway.drafts (Map) -> [*] (Buffer)`. */
  readonly path: string;
  readonly count: number;
  /** What would be free if they were let go. */
  readonly retainedBytes: number;
}

type AnySubject = Pick<Subject<never>, 'probe'>;

/** Steps that a path shows at most. */
const pathSteps = 5;

export interface HoldersOptions {
  /** Only objects of these classes, wherever they are; by default the topmost of all that is new. */
  readonly of?: readonly string[];
  /** Paths that tell most of the matter at hand; they come first. */
  readonly prefer?: RegExp;
  /** Leaves out what is there fewer times. Default 2. */
  readonly atLeast?: number;
}

/**
 * Tells who holds what `action` leaves behind in the subject's process, as far as an object of the class does: a heap
 * snapshot before and one after, the second read with memlab. Takes seconds. The most bytes come first.
 */
export async function holdersAfter(
  subject: AnySubject,
  className: string,
  action: () => Promise<unknown>,
  options: HoldersOptions = {},
): Promise<Holder[]> {
  await using folder = await leashedFolder(tmpdir(), `kata-heap-${process.pid}-`);
  const before: Uint8Array[] = [];
  await subject.probe('snapshot', (chunk) => before.push(chunk));
  const known = nodeIds(Buffer.concat(before).toString());
  await action();
  await subject.probe('collect');
  const file = join(folder.path, 'after.heapsnapshot');
  await takeSnapshot(subject, file);
  return holdersOfNew(await readSnapshot(file, folder.path), known, className, options);
}

/** Writes a heap snapshot of the subject's process; Chrome's DevTools open it. */
export async function takeSnapshot(subject: AnySubject, file: string): Promise<void> {
  const out = createWriteStream(file);
  await subject.probe('snapshot', (chunk) => out.write(chunk));
  out.end();
  await finished(out);
}

/** Holders as lines of text: `10 x 1024 KB  Gateway.drafts (Map) -> [*] (Buffer)`. */
export function holdersText(holders: readonly Holder[], most = 3): string {
  return holders
    .slice(0, most)
    .map(({ path, count, retainedBytes }) => `${count} x ${sizeText(retainedBytes / count)}  ${path}`)
    .join('\n');
}

function sizeText(bytes: number): string {
  return bytes < 10_000 ? `${Math.round(bytes)} B` : `${Math.round(bytes / 1024)} KB`;
}

/**
 * memlab is slow to import, so that happens only when it is needed. It makes a folder `memlab` wherever temporary files go, when it is
 * imported and when it reads, whatever work folder it is given. So temporary files go to our folder for that time.
 */
async function readSnapshot(file: string, workDir: string): Promise<IHeapSnapshot> {
  const names = ['TMPDIR', 'TEMP', 'TMP'] as const;
  const before = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) process.env[name] = workDir;
  try {
    const { config, getFullHeapFromFile } = await import('memlab');
    config.muteConsole = true;
    config.defaultFileManagerOption = { workDir };
    return await getFullHeapFromFile(file);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** An object keeps its id from one snapshot to the next; for the ids alone memlab need not read the first one. */
function nodeIds(snapshot: string): ReadonlySet<number> {
  const {
    snapshot: { meta },
    nodes,
  } = JSON.parse(snapshot) as { snapshot: { meta: { node_fields: string[] } }; nodes: number[] };
  const ids = new Set<number>();
  for (let at = meta.node_fields.indexOf('id'); at < nodes.length; at += meta.node_fields.length) ids.add(nodes[at]!);
  return ids;
}

function holdersOfNew(
  heap: IHeapSnapshot,
  known: ReadonlySet<number>,
  className: string,
  { of, prefer, atLeast = 2 }: HoldersOptions,
): Holder[] {
  const paths = pathsFrom(heap, className);
  const groups = new Map<string, Holder>();
  heap.nodes.forEach((node) => {
    if (known.has(node.id) || isInner(node) || (of && !of.includes(node.name))) return;
    const top = topOf(node, known);
    if (!top || (!of && top !== node)) return;
    const path = paths.get(top.id) ?? timerPath(node);
    if (path === undefined) return;
    const whole = top === node || node.name === 'Timeout' ? path : `${path} -> … (${nameOf(node)})`;
    const { count = 0, retainedBytes = 0 } = groups.get(whole) ?? {};
    groups.set(whole, { path: whole, count: count + 1, retainedBytes: retainedBytes + node.retainedSize });
  });
  const rank = ({ path }: Holder) => (prefer?.test(path) ? 1 : 0);
  return [...groups.values()]
    .filter(({ count }) => count >= atLeast)
    .sort((one, other) => rank(other) - rank(one) || other.retainedBytes - one.retainedBytes);
}

/** The topmost new object that holds it: when that goes, it goes. */
function topOf(node: IHeapNode, known: ReadonlySet<number>): IHeapNode | undefined {
  let top = node;
  for (let above = node.dominatorNode; above; above = above.dominatorNode) {
    if (known.has(above.id)) return top;
    if (!isInner(above)) top = above;
  }
  return undefined;
}

/** Node itself holds a timer, no matter which code forgot it. */
function timerPath(node: IHeapNode): string | undefined {
  if (node.name !== 'Timeout') return undefined;
  const run = node.references.find(({ name_or_index: name }) => name === '_onTimeout')?.toNode;
  return `a timer (Timeout)${run ? ` -> _onTimeout (${nameOf(run)})` : ''}`;
}

/** What no reader knows: V8's own tables, hidden classes, code, contexts, numbers, strings. */
function isInner({ type, name }: IHeapNode): boolean {
  return !['object', 'closure', 'native'].includes(type) || name.startsWith('system / ') || name.startsWith('Node / ');
}

/** The shortest way from the class to each object that it reaches, by id. */
function pathsFrom(heap: IHeapSnapshot, className: string): Map<number, string> {
  const paths = new Map<number, string>();
  let edge: IHeapNode[] = [];
  heap.nodes.forEach((node) => {
    if (node.type === 'object' && node.name === className && isInstance(node)) edge.push(node);
  });
  for (const node of edge) paths.set(node.id, className);
  for (let steps = 0; steps < pathSteps * 2 && edge.length > 0; steps++) {
    const next: IHeapNode[] = [];
    for (const from of edge) {
      for (const { type, name_or_index: name, toNode } of from.references) {
        if (type === 'weak' || type === 'hidden' || name === '__proto__' || name === 'map' || paths.has(toNode.id))
          continue;
        paths.set(toNode.id, paths.get(from.id)! + step(from, type, name, toNode));
        next.push(toNode);
      }
    }
    edge = next;
  }
  return paths;
}

/** A class's prototype has its name too; only an instance has fields of values. */
function isInstance(node: IHeapNode): boolean {
  return !node.references.some(({ name_or_index: name }) => name === 'constructor');
}

function step(from: IHeapNode, type: string, name: string | number, to: IHeapNode): string {
  if (isInner(to)) return '';
  const isField = (type === 'property' || type === 'context') && !isInner(from);
  const field = isField ? String(name) : '[*]';
  return `${from.name === '' || !isField ? ' -> ' : '.'}${field} (${nameOf(to)})`;
}

function nameOf({ type, name }: IHeapNode): string {
  return type === 'closure' ? `function ${name}`.trimEnd() : name;
}
