// Records real heaps and heap snapshots in recorded.json. Run it only to record new ones:
// npx node --expose-gc --max-semi-space-size=1 --single-threaded --no-opt tests/leak-detector/record.ts
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { getHeapSnapshot } from 'node:v8';
import type { ClassRow } from '../../katas/leak-detector/leak-detector.ts';

const windowSize = 48;
const kept: unknown[] = [];
const twoKilobytes = Array.from({ length: 240 }, () => 0.5);

/** An operation that leaves nothing. */
function work(): number {
  return Array.from({ length: 100 }, (_, index) => ({ index, label: `item ${index}` })).length;
}

/** Bytes in use after each round of operations, in KB. All garbage is collected after every sixth sample. */
function sampled(samples: number, operation: (sample: number) => void): number[] {
  const room = new Float64Array(samples + 200);
  for (let sample = 0; sample < room.length; sample++) {
    for (let time = 0; time < 20; time++) work();
    if (sample >= 200) operation(sample - 200);
    room[sample] = process.memoryUsage().heapUsed;
    if (sample % 6 === 0) global.gc!();
  }
  return Array.from(room.slice(200), (bytes) => Math.round(bytes / 1024));
}

/** Each operation keeps 2 KB. */
function leak(): void {
  for (let time = 0; time < 120; time++) kept.push(twoKilobytes.slice());
}

const cache = new Map<number, number[]>();
/** Fills in 6 samples. */
function warmUp(sample: number): void {
  if (sample < 60 || sample >= 66) return;
  for (let time = 0; time < 1_000; time++) cache.set(cache.size, twoKilobytes.slice());
}

class Session {
  readonly user: string;
  readonly since = Math.random();
  readonly lastSeen = Math.random();
  readonly latitude = Math.random();
  readonly longitude = Math.random();
  readonly score = Math.random();
  readonly spent = Math.random();
  readonly budget = Math.random();
  readonly ratio = Math.random();
  constructor(user: string) {
    this.user = user;
  }
}
class CachedPage {
  readonly url: string;
  readonly body: string;
  constructor(url: string) {
    this.url = url;
    this.body = `<html>${url.repeat(3)}</html>`;
  }
}
class Mark {}
class Job {
  readonly id: number;
  constructor(id: number) {
    this.id = id;
  }
}

/** Devtools' names: V8's own kinds are in parentheses. */
function nameOf(type: string, name: string): string {
  if (type === 'object' || type === 'native') return name;
  return type === 'hidden' ? '(system)' : `(${type})`;
}

interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: string[]; readonly node_types: [string[]] } };
  readonly nodes: number[];
  readonly strings: string[];
}

async function classes(): Promise<ClassRow[]> {
  const { snapshot, nodes, strings } = JSON.parse(await text(getHeapSnapshot())) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [typeAt, nameAt, sizeAt] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field)) as [
    number,
    number,
    number,
  ];
  const rows = new Map<string, ClassRow>();
  for (let node = 0; node < nodes.length; node += fields.length) {
    const name = nameOf(types[0][nodes[node + typeAt]!]!, strings[nodes[node + nameAt]!]!);
    const row = rows.get(name) ?? { name, count: 0, bytes: 0 };
    row.count++;
    row.bytes += nodes[node + sizeAt]!;
    rows.set(name, row);
  }
  return [...rows.values()].filter(({ bytes }) => bytes >= 2_000);
}

/** A leak of sessions. Between the snapshots a cache warms up, jobs come and go, and small marks leak, too. */
async function snapshots(): Promise<ClassRow[][]> {
  const [sessions, pages, marks]: [Session[], CachedPage[], Mark[]] = [[], [], []];
  const series = [await classes()];
  for (const jobs of [3_000, 500, 4_000, 0]) {
    for (let at = 0; at < 800; at++) sessions.push(new Session(`user ${sessions.length}`));
    for (let at = 0; at < 1_000; at++) marks.push(new Mark());
    while (pages.length < 5_000) pages.push(new CachedPage(`/page/${pages.length}`));
    const queue = Array.from({ length: jobs }, (_, id) => new Job(id));
    series.push(await classes());
    queue.length = 0;
  }
  kept.push(sessions, pages, marks);
  return series;
}

const heaps = {
  saw: sampled(5 * windowSize, () => {}),
  cache: sampled(60 + 4 * windowSize, warmUp),
  leak: sampled(4 * windowSize, leak),
};
const recorded = { windowSize, kilobytes: heaps, snapshots: await snapshots() };
writeFileSync(join(import.meta.dirname, 'recorded.json'), JSON.stringify(recorded));
