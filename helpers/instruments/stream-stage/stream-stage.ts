import type { Tools } from '../../judging/subject/subject.ts';

/** What a judge of streams has in the module's process. */
export interface StreamStage {
  readonly stream: typeof import('node:stream');
  readonly turns: Tools['turns'];
  /** How a promise came to its end. It is given three seconds in which the process runs; they are for one that never does. */
  ending(promise: Promise<unknown>, planned?: Error): Promise<Ending>;
  /** A stream that gives these chunks, each in a turn of its own, as a file or a socket would. */
  chunks(list: readonly unknown[]): import('node:stream').Readable;
  /** One into the other; how that came to its end. */
  flow(streams: readonly unknown[], planned?: Error): Promise<Ending>;
}

/** How something came to its end: well, by the error that was planned, by another one, or not at all. */
export type Ending = 'done' | 'failed as planned' | 'still waiting' | `failed: ${string}`;

/** For `evaluate`: puts the stage into the module's process, as `kept.streams`. */
export async function setStreamStage(
  _kata: unknown,
  _args: undefined,
  kept: { streams: StreamStage },
  tools: Tools,
): Promise<void> {
  const stream = await tools.load<typeof import('node:stream')>('node:stream');
  const waitingSteps = 30;

  async function ending(promise: Promise<unknown>, planned?: Error): Promise<Ending> {
    let ended: Ending | undefined;
    const watched = promise.then(
      () => (ended = 'done'),
      (error: unknown) => (ended = planned !== undefined && error === planned ? 'failed as planned' : told(error)),
    );
    // In steps: a machine that gives this process no time must not use up the limit.
    for (let step = 0; step < waitingSteps && ended === undefined; step++) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([watched, new Promise((resolve) => (timer = setTimeout(resolve, 100)))]);
      clearTimeout(timer);
    }
    return ended ?? 'still waiting';
  }

  function told(error: unknown): Ending {
    if (!(error instanceof Error)) return `failed: ${String(error)}`;
    const kind = [TypeError, RangeError].find((one) => error instanceof one)?.name ?? 'Error';
    return `failed: ${kind}: ${error.message}`;
  }

  function chunks(list: readonly unknown[]) {
    let index = 0;
    return new stream.Readable({
      objectMode: true,
      read() {
        setImmediate(() => this.push(index < list.length ? list[index++] : null));
      },
    });
  }

  async function flow(streams: readonly unknown[], planned?: Error): Promise<Ending> {
    return await ending(stream.promises.pipeline(streams as [NodeJS.ReadableStream, NodeJS.WritableStream]), planned);
  }

  kept.streams = { stream, turns: tools.turns, ending, chunks, flow };
}

/** A text, cut at these places as far as it has them. An empty chunk is one, too. */
export function cutAt<Text extends string | Uint8Array>(text: Text, cuts: readonly number[]): Text[] {
  const places = [0, ...cuts.map((cut) => Math.min(cut, text.length)), text.length].sort((a, b) => a - b);
  return places.slice(1).map((place, index) => text.slice(places[index], place) as Text);
}

/** An ending as what somebody did, such as `did not come to its end`. */
export function inPast(how: Ending): string {
  if (how === 'done') return 'came to its end as if all were well';
  if (how === 'still waiting') return 'did not come to its end';
  return how.replace(/^failed: (.*)$/s, 'failed with "$1"');
}
