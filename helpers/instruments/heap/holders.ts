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

const stringTypes = ['string', 'concatenated string', 'sliced string'];

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
 *
 * @param action `'there'` tells of all objects that are there, whenever they came; then `of` is needed
 */
export async function holdersAfter(
  subject: AnySubject,
  className: string,
  action: (() => Promise<unknown>) | 'there',
  options: HoldersOptions = {},
): Promise<Holder[]> {
  await using folder = await leashedFolder(tmpdir(), `kata-heap-${process.pid}-`);
  const known = action === 'there' ? undefined : await nodeIds(subject);
  if (action !== 'there') await action();
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
async function nodeIds(subject: AnySubject): Promise<ReadonlySet<number>> {
  const chunks: Uint8Array[] = [];
  await subject.probe('snapshot', (chunk) => chunks.push(chunk));
  const {
    snapshot: { meta },
    nodes,
  } = JSON.parse(Buffer.concat(chunks).toString()) as {
    snapshot: { meta: { node_fields: string[] } };
    nodes: number[];
  };
  const ids = new Set<number>();
  for (let at = meta.node_fields.indexOf('id'); at < nodes.length; at += meta.node_fields.length) ids.add(nodes[at]!);
  return ids;
}

function holdersOfNew(
  heap: IHeapSnapshot,
  known: ReadonlySet<number> | undefined,
  className: string,
  { of, prefer, atLeast = 2 }: HoldersOptions,
): Holder[] {
  const paths = pathsFrom(heap, className);
  const groups = new Map<string, Holder>();
  heap.nodes.forEach((node) => {
    if (known?.has(node.id) || (of && !of.includes(nameOf(node)))) return;
    const path = known
      ? pathOf(node, known, paths, of !== undefined)
      : isInstance(node)
        ? paths.get(node.id)
        : undefined;
    if (path === undefined) return;
    const { count = 0, retainedBytes = 0 } = groups.get(path) ?? {};
    groups.set(path, { path, count: count + 1, retainedBytes: retainedBytes + sizeOf(node) });
  });
  const rank = ({ path }: Holder) => (prefer?.test(path) ? 1 : 0);
  return [...groups.values()]
    .filter(({ count }) => count >= atLeast)
    .sort((one, other) => rank(other) - rank(one) || other.retainedBytes - one.retainedBytes);
}

/** How it is held; nothing when that is told of what holds it, unless it was asked for. */
function pathOf(
  node: IHeapNode,
  known: ReadonlySet<number>,
  paths: ReadonlyMap<number, string>,
  isAskedFor: boolean,
): string | undefined {
  if (isInner(node)) return undefined;
  if (isRegistration(node)) return registrationPath(node, paths);
  const top = topOf(node, known);
  if (!top || (!isAskedFor && top !== node)) return undefined;
  const path = paths.get(top.id) ?? registrationPath(top, paths) ?? timerPath(node);
  if (path === undefined || top === node || nameOf(node) === 'Timeout') return path;
  return `${path} -> … (${nameOf(node)})`;
}

/** What would be free if it were let go. V8 chains the registrations of a registry, so each seems to hold all that are older. */
function sizeOf(node: IHeapNode): number {
  if (!isRegistration(node)) return node.retainedSize;
  const older = node.references.map(({ toNode }) => toNode).filter(isRegistration);
  const held = older.filter(({ dominatorNode }) => dominatorNode?.id === node.id);
  return held.reduce((rest, { retainedSize }) => rest - retainedSize, node.retainedSize);
}

/** What `register` of a FinalizationRegistry makes. */
function isRegistration({ type, name }: IHeapNode): boolean {
  return type === 'hidden' && name === 'system / WeakCell';
}

function registrationPath(node: IHeapNode, paths: ReadonlyMap<number, string>): string | undefined {
  if (!isRegistration(node)) return undefined;
  const registry = node.references.find(({ toNode }) => toNode.name === 'FinalizationRegistry')?.toNode;
  const path = registry && paths.get(registry.id);
  return path === undefined ? undefined : `${path} -> [*] (${nameOf(node)})`;
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
  if (nameOf(node) !== 'Timeout') return undefined;
  const run = node.references.find(({ name_or_index: name }) => name === '_onTimeout')?.toNode;
  return `a timer (Timeout)${run ? ` -> _onTimeout (${nameOf(run)})` : ''}`;
}

/** What no reader knows: V8's own tables, hidden classes, code, contexts, numbers. */
function isInner(node: IHeapNode): boolean {
  const { type, name } = node;
  if (isRegistration(node) || stringTypes.includes(type)) return false;
  return !['object', 'closure', 'native'].includes(type) || name.startsWith('system / ') || name.startsWith('Node / ');
}

/** The shortest way from the class to each object that it reaches, by id. */
function pathsFrom(heap: IHeapSnapshot, className: string): Map<number, string> {
  const paths = new Map<number, string>();
  let edge: IHeapNode[] = [];
  heap.nodes.forEach((node) => {
    if (node.name === className && isInstance(node)) edge.push(node);
  });
  for (const node of edge) paths.set(node.id, className);
  for (let steps = 0; steps < pathSteps * 2 && edge.length > 0; steps++) {
    const next: IHeapNode[] = [];
    for (const from of edge) {
      for (const { type, name_or_index: name, toNode } of from.references) {
        if (paths.has(toNode.id) || !isWay(type, name, toNode)) continue;
        paths.set(toNode.id, paths.get(from.id)! + step(from, type, name, toNode));
        // A table of a Map links to the one that took its place, for those who iterate: any number of them are one step.
        (from.type === 'array' && toNode.type === 'array' ? edge : next).push(toNode);
      }
    }
    edge = next;
  }
  return paths;
}

/** What V8 hides are its own links, but for the table that an iterator of a Map or a Set goes through. */
function isWay(type: string, name: string | number, to: IHeapNode): boolean {
  if (type === 'weak' || name === '__proto__' || name === 'map') return false;
  return type !== 'hidden' || to.type === 'array';
}

/** A class's prototype has its name too; only an instance has fields of values. */
function isInstance(node: IHeapNode): boolean {
  return node.type === 'object' && !node.references.some(({ name_or_index: name }) => name === 'constructor');
}

function step(from: IHeapNode, type: string, name: string | number, to: IHeapNode): string {
  if (isInner(to)) return '';
  const isField = (type === 'property' || type === 'context') && !isInner(from);
  const field = isField ? String(name) : '[*]';
  return `${from.name === '' || !isField ? ' -> ' : '.'}${field} (${nameOf(to)})`;
}

function nameOf(node: IHeapNode): string {
  const { type, name } = node;
  if (isRegistration(node)) return 'a registration';
  if (stringTypes.includes(type)) return 'string';
  return type === 'closure' ? `function ${name}`.trimEnd() : name;
}
