import { inspect } from 'node:util';

/** One call of a logger, as it was at that moment. What the module changes later does not show. */
export interface LogEntry {
  readonly level: string;
  /** The first argument as JSON makes it; undefined when there is none or when JSON cannot write it. */
  readonly line: unknown;
  /** Why JSON cannot write the first argument. */
  readonly fault?: string;
  /** All arguments with everything in them, also what JSON leaves out, such as the message of an error. */
  readonly text: string;
}

export interface CollectingLogger<Level extends string> {
  /** Has one method per level. Each takes any arguments and works without `this`. */
  readonly logger: Readonly<Record<Level, (...parts: unknown[]) => void>>;
  /** All calls so far, in order. */
  readonly entries: readonly LogEntry[];
}

/**
 * A logger that keeps what it is given, for a judge's `inside.ts`. Read `line` for what must be there, and search `text` for what must not.
 * @param levels the names of its methods
 * @param onEntry called after each entry is kept; what it throws, the logger throws
 */
export function collectingLogger<Level extends string>(
  levels: readonly Level[],
  onEntry: (entry: LogEntry) => void = () => undefined,
): CollectingLogger<Level> {
  const entries: LogEntry[] = [];
  const methods = levels.map((level) => [
    level,
    (...parts: unknown[]) => {
      const entry = { level, ...written(parts[0]), text: parts.map(everythingIn).join('\n') };
      entries.push(entry);
      onEntry(entry);
    },
  ]);
  return { logger: Object.fromEntries(methods) as CollectingLogger<Level>['logger'], entries };
}

function written(part: unknown): Pick<LogEntry, 'line' | 'fault'> {
  try {
    const json = JSON.stringify(part) as string | undefined;
    return { line: json === undefined ? undefined : JSON.parse(json) };
  } catch (error) {
    return { line: undefined, fault: error instanceof Error ? error.message : 'not an Error was thrown' };
  }
}

function everythingIn(part: unknown): string {
  if (typeof part === 'string') return part;
  try {
    return inspect(part, {
      depth: Infinity,
      showHidden: true,
      getters: true,
      customInspect: false,
      maxArrayLength: Infinity,
      maxStringLength: Infinity,
    });
  } catch {
    return '(cannot be read)';
  }
}
