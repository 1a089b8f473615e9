// Started by judge-in-lanes.ts in a process of its own. Judges batches of modules, one module after the other, and tells each verdict.
import type { ServerAddress } from '../../foundations/server-address.ts';
import { type Settings, adoptSettings } from '../../foundations/settings.ts';
import { type Judged, judge } from '../../judging/run/judge.ts';
import type { Verdict } from '../../judging/verdict/verdict.ts';

export interface Batch {
  readonly modules: readonly Judged[];
  readonly mysqlServers: ServerAddress[];
  readonly settings: Settings;
}

export type FromLane = { readonly index: number; readonly verdict: Verdict } | { readonly isDone: true };

process.on('message', (batch: Batch) => void run(batch));
process.once('disconnect', () => process.exit());

async function run({ modules, mysqlServers, settings }: Batch): Promise<void> {
  adoptSettings(settings);
  await judge(modules, mysqlServers, (module, verdict) => tell({ index: modules.indexOf(module), verdict }), {
    workers: 1,
    isOneOfMany: true,
  });
  tell({ isDone: true });
}

function tell(message: FromLane): void {
  (process as unknown as { send(message: FromLane): void }).send(message);
}
