type State = 'closed' | 'open' | 'half-open';
type Call<Request, Answer> = (request: Request, context: { signal: AbortSignal }) => Promise<Answer>;

interface BreakerOptions {
  failureThreshold: number;
  successThreshold: number;
  timeoutMs: number;
  resetTimeoutMs: number;
  now?: () => number;
  isFailure?: (error: unknown) => boolean;
  onStateChange?: (to: State, from: State) => void;
  failureRate?: { share: number; minimumCalls: number; windowMs: number };
}

export class CircuitOpenError extends Error {
  override name = 'CircuitOpenError';
}

export class CallTimeoutError extends Error {
  override name = 'CallTimeoutError';
}

type Event = 'ask' | 'success' | 'failure';

interface Machine {
  readonly state: State;
  /** How many changes of state there were. */
  readonly generation: number;
  readonly failures: number;
  readonly successes: number;
  readonly probes: number;
  readonly openedAt: number;
  readonly log: readonly { readonly at: number; readonly event: Event }[];
}

const zero = { failures: 0, successes: 0, probes: 0, log: [] };

/** For each state and event: the machine after it, or undefined for a call that is refused. */
function tableFor(options: BreakerOptions, now: () => number) {
  const to = (state: State, machine: Machine): Machine => ({
    ...machine,
    ...zero,
    state,
    generation: machine.generation + 1,
    openedAt: state === 'open' ? now() : machine.openedAt,
  });
  const logged = (machine: Machine, event: Event): Machine => {
    if (!options.failureRate) return machine;
    const since = now() - options.failureRate.windowMs;
    return { ...machine, log: [...machine.log.filter(({ at }) => at >= since), { at: now(), event }] };
  };
  const isBad = ({ failures, log }: Machine) => {
    if (failures >= options.failureThreshold) return true;
    if (!options.failureRate || log.length < options.failureRate.minimumCalls) return false;
    return log.filter(({ event }) => event === 'failure').length / log.length >= options.failureRate.share;
  };
  const probe = (machine: Machine) => (machine.probes > 0 ? undefined : { ...machine, probes: 1 });

  const table: Record<State, Record<Event, (machine: Machine) => Machine | undefined>> = {
    closed: {
      ask: (machine) => machine,
      success: (machine) => ({ ...logged(machine, 'success'), failures: 0 }),
      failure: (machine) => {
        const next = { ...logged(machine, 'failure'), failures: machine.failures + 1 };
        return isBad(next) ? to('open', next) : next;
      },
    },
    open: {
      ask: (machine) =>
        now() >= machine.openedAt + options.resetTimeoutMs ? probe(to('half-open', machine)) : undefined,
      success: (machine) => machine,
      failure: (machine) => machine,
    },
    'half-open': {
      ask: probe,
      success: (machine) => {
        const successes = machine.successes + 1;
        return successes >= options.successThreshold
          ? to('closed', machine)
          : { ...machine, successes, probes: machine.probes - 1 };
      },
      failure: (machine) => to('open', machine),
    },
  };
  return table;
}

export function createBreaker<Request, Answer>(call: Call<Request, Answer>, options: BreakerOptions) {
  const { now = () => performance.now(), isFailure = () => true, onStateChange = () => {} } = options;
  const table = tableFor(options, now);
  let machine: Machine = { state: 'closed', generation: 0, openedAt: 0, ...zero };

  function send(event: Event): boolean {
    const before = machine;
    const after = table[before.state][event](before);
    if (after === undefined) return false;
    machine = after;
    if (after.state !== before.state) {
      try {
        onStateChange(after.state, before.state);
      } catch {
        // A listener has no say.
      }
    }
    return true;
  }

  return {
    get state() {
      return machine.state;
    },

    fire(request: Request): Promise<Answer> {
      if (!send('ask')) return Promise.reject(new CircuitOpenError(`The circuit is ${machine.state}`));
      const { generation } = machine;
      const report = (event: Event) => {
        if (machine.generation === generation) send(event);
      };

      return new Promise<Answer>((resolve, reject) => {
        const controller = new AbortController();
        let isDone = false;
        const finish = (event: Event, settle: () => void) => {
          if (isDone) return;
          isDone = true;
          clearTimeout(timer);
          report(event);
          settle();
        };
        const timer = setTimeout(() => {
          finish('failure', () => reject(new CallTimeoutError('Timed out')));
          controller.abort();
        }, options.timeoutMs);
        const failed = (error: unknown) => finish(isFailure(error) ? 'failure' : 'success', () => reject(error));
        try {
          call(request, { signal: controller.signal }).then(
            (answer) => finish('success', () => resolve(answer)),
            failed,
          );
        } catch (error) {
          failed(error);
        }
      });
    },
  };
}
