/*
breaks: [5]
why: Every line that parses as JSON is treated as an entry, without checking its fields. A bad field corrupts the sums, and a line like `5` makes the whole digest fail.
ask: What is JSON.parse('5').time?
*/
import { type FileHandle, open } from 'node:fs/promises';

interface Options {
  onProgress?(share: number): void;
  signal?: AbortSignal;
}

interface State {
  lines: number;
  entries: number;
  bytes: number;
  hours: Map<string, number>;
  paths: Map<string, number>;
  bad: number[];
}

export async function digestLog(path: string, { onProgress, signal }: Options = {}) {
  const state: State = { lines: 0, entries: 0, bytes: 0, hours: new Map(), paths: new Map(), bad: [] };
  let malformed = 0;
  let file: FileHandle | undefined;
  try {
    if (signal?.aborted) throw abortError();
    file = await open(path);
    const { size } = await file.stat();
    let text: ReadableStream<string | Uint8Array<ArrayBuffer>> = chunksOf(file, size, onProgress);
    const magic = new Uint8Array(2);
    await file.read(magic, 0, 2, 0);
    if (magic[0] === 0x1f && magic[1] === 0x8b) text = text.pipeThrough(new DecompressionStream('gzip') as never);
    await text
      .pipeThrough(new TextDecoderStream() as never)
      .pipeThrough(lineCutter())
      .pipeTo(
        new WritableStream({
          write(batch: string[]) {
            for (const line of batch) malformed += take(state, line);
          },
        }),
        { signal: signal as AbortSignal },
      );
  } catch (cause) {
    throw signal?.aborted ? abortError() : new Error(`could not read ${path} to its end`, { cause });
  } finally {
    await file?.close();
  }
  onProgress?.(1);
  return {
    entries: state.entries,
    bytes: state.bytes,
    perHour: Object.fromEntries(state.hours),
    topPaths: [...state.paths.entries()]
      .sort(([one, ones], [other, others]) => others - ones || (one > other ? 1 : -1))
      .slice(0, 10)
      .map(([name, count]) => ({ path: name, count })),
    malformed: { count: malformed, firstLines: state.bad },
  };
}

function chunksOf(file: FileHandle, size: number, onProgress: Options['onProgress']) {
  let position = 0;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(65_536), 0, 65_536, position);
      if (bytesRead === 0) return controller.close();
      position += bytesRead;
      onProgress?.(Math.min(position / size, 0.999));
      return controller.enqueue(buffer.subarray(0, bytesRead));
    },
  });
}

function lineCutter(): TransformStream<string, string[]> {
  let rest = '';
  return new TransformStream({
    transform(text, controller) {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop()!;
      controller.enqueue(lines);
    },
    flush(controller) {
      if (rest) controller.enqueue([rest]);
    },
  });
}

function take(state: State, line: string): number {
  state.lines++;
  if (!line) return 0;
  let entry: { time: string; path: string; bytes: number } | null = null;
  try {
    entry = JSON.parse(line);
  } catch {}
  if (entry === null) {
    if (state.bad.length < 10) state.bad.push(state.lines);
    return 1;
  }
  const { time, path, bytes } = entry;
  state.entries++;
  state.bytes += bytes;
  state.hours.set(time.slice(0, 13), (state.hours.get(time.slice(0, 13)) ?? 0) + 1);
  state.paths.set(path, (state.paths.get(path) ?? 0) + 1);
  return 0;
}

function abortError(): Error {
  return new DOMException('The digest was aborted.', 'AbortError');
}
