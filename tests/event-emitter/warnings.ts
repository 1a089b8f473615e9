/** Listeners that are added to an emitter, event by event. */
export interface Crowd {
  readonly limit?: number;
  /** The limit that is set when the first of these have been added. */
  readonly limitThen?: number;
  readonly add: readonly (readonly [event: string, count: number])[];
  readonly once?: boolean;
  /** How often it is done; before each further time all of them are taken away. */
  readonly again?: number;
}

type Listener = () => void;

interface Emitter {
  on(event: string, listener: Listener): unknown;
  once(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
  setMaxListeners(count: number): unknown;
}

/**
 * For each crowd, the warnings that it caused: their names, and which of the events their message names. It is sent to the
 * module's process as text, and called in the judge's with Node's class, so it uses nothing from around it.
 */
export async function playWarnings(
  { EventEmitter }: { readonly EventEmitter: new () => Emitter },
  crowds: readonly Crowd[],
): Promise<string[][]> {
  const others = process.listeners('warning');
  let warnings: string[] = [];
  let names: string[] = [];
  const listen = ({ name, message }: Error) => {
    const named = names.filter((event) => String(message).includes(event));
    warnings.push([String(name).slice(0, 60), ...named].join(' '));
  };
  // Not printed meanwhile: these warnings are meant.
  process.removeAllListeners('warning').on('warning', listen);
  try {
    const all: string[][] = [];
    for (const crowd of crowds) {
      warnings = [];
      names = [...new Set(crowd.add.map(([event]) => event))];
      gather(crowd);
      // A warning is told a moment later.
      await new Promise((resolve) => setImmediate(resolve));
      all.push(warnings.sort());
    }
    return all;
  } finally {
    process.off('warning', listen);
    for (const other of others) process.on('warning', other);
  }

  function gather({ limit, limitThen, add, once = false, again = 1 }: Crowd) {
    const emitter = new EventEmitter();
    if (limit !== undefined) emitter.setMaxListeners(limit);
    for (let round = 0; round < again; round++) {
      const added: [event: string, listener: Listener][] = [];
      for (const [index, [event, count]] of add.entries()) {
        if (index === 1 && limitThen !== undefined) emitter.setMaxListeners(limitThen);
        for (let more = 0; more < count; more++) {
          const listener = () => undefined;
          added.push([event, listener]);
          emitter[once ? 'once' : 'on'](event, listener);
        }
      }
      if (again > 1) for (const [event, listener] of added) emitter.off(event, listener);
    }
  }
}
