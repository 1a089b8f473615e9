import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { killGroup } from '../../foundations/processes/kill-group.js';
import { forkLeashed } from '../../foundations/processes/spawn-leashed.ts';
import type { ServerAddress } from '../../foundations/server-address.ts';
import { settings } from '../../foundations/settings.ts';
import type { Judged } from '../../judging/run/judge.ts';
import type { Verdict } from '../../judging/verdict/verdict.ts';
import type { Batch, FromLane } from './judge-lane.ts';

const laneFile = fileURLToPath(new URL('judge-lane.ts', import.meta.url));
/** One Vitest keeps what it knows of each module until it ends. */
const mostInBatch = 20;

/**
 * Judges modules in their order, in so many processes side by side, each with one server if there are any. A judge starts many
 * processes, and Node forks: Linux copies the page tables of the process that starts another. One process for all judges grew to more
 * than a gigabyte, and each start took 70 ms; in these it takes 30.
 * @throws Error when one of these processes ends before it is done
 */
export async function judgeInLanes<Module extends Judged>(
  modules: readonly Module[],
  { lanes, mysqlServers }: { readonly lanes: number; readonly mysqlServers: readonly ServerAddress[] },
  onVerdict: (module: Module, verdict: Verdict) => void,
): Promise<void> {
  const waiting = [...modules];
  const nextBatch = () => waiting.splice(0, Math.min(mostInBatch, Math.ceil(waiting.length / (2 * lanes))));
  const work = async (_: unknown, number: number) => {
    const lane = forkLeashed(laneFile, 'inherit');
    try {
      const servers = mysqlServers.slice(number, number + 1);
      for (let batch = nextBatch(); batch.length > 0; batch = nextBatch()) {
        await judgeBatch(lane, { modules: batch, mysqlServers: servers, settings: settings() }, (index, verdict) =>
          onVerdict(batch[index]!, verdict),
        );
      }
    } finally {
      killGroup(lane.pid);
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, modules.length) }, work));
}

async function judgeBatch(
  lane: ChildProcess,
  batch: Batch,
  onVerdict: (index: number, verdict: Verdict) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const hear = (message: FromLane) => {
    if ('isDone' in message) resolve();
    else onVerdict(message.index, message.verdict);
  };
  const fail = () =>
    reject(new Error(`A process that judges ended (${lane.signalCode ?? lane.exitCode}) before it was done.`));
  lane.on('message', hear).once('close', fail).once('error', reject);
  try {
    lane.send(batch);
    await promise;
  } finally {
    lane.off('message', hear).off('close', fail).off('error', reject);
  }
}
