import { setTimeout as pause } from 'node:timers/promises';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beginWork } from '../../helpers/instruments/gauges/work-clock.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { median } from '../../helpers/judging/verdict/median.ts';
import { documentOf, plainProducts } from './documents.ts';
import { Importer, type Stage } from './importer.ts';
import type { Outcome } from './inside.ts';

/** How an import compares with LOAD DATA of the same file. */
export interface Race {
  /** The time of the import, as a multiple of the time of LOAD DATA. */
  readonly times: number;
  readonly limit: number;
}

const rows = 100_000;
/** Judged by the time of which waits for a processor are taken out, so that a busy machine makes it no longer. */
const byWork = { limit: 10, imports: 2 };
/** Judged by the clock, where the server's process cannot be read. A busy machine blurs that more. */
const byClock = { limit: 8, imports: 4 };

/**
 * Times LOAD DATA and the import in turn. The best of the imports counts. An import that takes twice the limit is not waited for.
 */
export async function raceLoadData(stage: Stage): Promise<Race> {
  const csv = Buffer.from(documentOf(plainProducts(rows)).csv);
  const path = join(stage.workspace, 'race.csv');
  await writeFile(path, csv);
  const server = await stage.table.serverPid();
  const { limit, imports } = server === undefined ? byClock : byWork;

  const loadsMs = [await timedLoad(stage, csv, server)];
  const patienceMs = 2 * limit * loadsMs[0]!;
  let importMs = Infinity;
  for (let count = 1; count <= imports && importMs > (limit / 2) * median(loadsMs); count++) {
    const thisMs = await timedImport(stage, path, server, patienceMs);
    importMs = Math.min(importMs, thisMs);
    if (importMs > (limit / 2) * median(loadsMs)) loadsMs.push(await timedLoad(stage, csv, server));
    if (thisMs > patienceMs) break;
  }
  return { times: importMs / median(loadsMs), limit };
}

async function timedLoad(stage: Stage, csv: Buffer, server: number | undefined): Promise<number> {
  // Nothing that the module still does or locks may slow this down.
  await stage.subjects.end();
  await stage.table.endSessions();
  await stage.table.empty();
  // This thread sends the rows: while it waits for a processor, the server has nothing to do.
  const spentMs = await beginWork(server === undefined ? [] : [server, 'this thread']);
  await stage.table.loadData(csv);
  const loadMs = await spentMs();
  await stage.table.empty();
  return loadMs;
}

async function timedImport(
  stage: Stage,
  path: string,
  server: number | undefined,
  patienceMs: number,
): Promise<number> {
  await using importer = await Importer.open(stage, { isDirect: true });
  await importer.imports(documentOf(plainProducts(2000)));
  await stage.table.empty();
  const spentMs = await beginWork(server === undefined ? [] : [importer.subject, server]);
  await importer.begin(path);
  let outcome: Outcome | undefined;
  const end = importer.outcome().then((its) => (outcome = its));
  end.catch(() => undefined);
  while (outcome === undefined && (await spentMs()) <= patienceMs) await Promise.race([end, pause(20)]);
  const importMs = await spentMs();
  if (outcome === undefined) return importMs;
  const what = `a file of 100,000 rows; the import ended with ${JSON.stringify(outcome)}`;
  await stage.table.sessionsEnd();
  const { ofFile } = await stage.table.count();
  expectThat('rows' in outcome && outcome.rows === rows && ofFile === rows, `${what}; rows in the table: ${ofFile}`);
  return importMs;
}
