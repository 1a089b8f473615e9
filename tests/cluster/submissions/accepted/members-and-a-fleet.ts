import cluster, { type Worker } from 'node:cluster';
import { EventEmitter, once } from 'node:events';

export interface ClusterOptions {
  /** Absolute path of the file that each worker process runs. */
  worker: string;
  /** How many workers serve. */
  size: number;
  /** Where they listen. A worker finds it in `process.env.PORT`. */
  port: number;
  /** How long to wait after a failed start. */
  restartMs: number;
  /** The longest wait between two starts. */
  maxRestartMs: number;
  /** So many failed starts in a row are too many. */
  maxFailures: number;
  /** How long a worker may take to stop. */
  stopMs: number;
  /** How often a worker is sent `'ping'`. */
  pingMs: number;
  /** How long a worker may leave pings without an answer. */
  hangMs: number;
  /** Hears that a worker of a running cluster cannot be replaced. */
  onGiveUp?: (error: Error) => void;
}

export interface Cluster {
  /** The process ids of the workers that listen. */
  stats(): { serving: number[] };
  /** Replaces every worker by a new one. */
  reload(): Promise<void>;
  /** Ends all workers. */
  stop(): Promise<void>;
}

/** One worker process, from its fork to its exit. Emits `ready`, or `failed`, or neither; then `gone`. */
class Member extends EventEmitter {
  readonly worker: Worker;
  readonly #options: ClusterOptions;
  #state: 'new' | 'ready' | 'asked' | 'gone' = 'new';
  #lastPong = Date.now();
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(options: ClusterOptions) {
    super();
    this.#options = options;
    cluster.setupPrimary({ exec: options.worker, silent: false });
    this.worker = cluster.fork({ PORT: options.port });
    this.worker.on('listening', () => this.#becomeReady());
    this.worker.on('message', (message) => {
      if (message === 'pong') this.#lastPong = Date.now();
    });
    this.worker.on('exit', () => this.#end());
    this.worker.on('error', () => undefined);
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get isGone(): boolean {
    return this.#state === 'gone';
  }

  get pid(): number {
    return this.worker.process.pid!;
  }

  async leave(): Promise<void> {
    if (this.#state === 'gone') return;
    const gone = once(this, 'gone');
    if (this.#state !== 'asked') {
      this.#state = 'asked';
      this.#timers.push(setTimeout(() => this.worker.process.kill('SIGKILL'), this.#options.stopMs));
      this.worker.disconnect();
    }
    await gone;
  }

  #becomeReady(): void {
    if (this.#state !== 'new') return;
    this.#state = 'ready';
    this.#lastPong = Date.now();
    this.#timers.push(setInterval(() => this.#check(), this.#options.pingMs));
    this.emit('ready');
  }

  #check(): void {
    if (this.#state !== 'ready') return;
    if (Date.now() - this.#lastPong > this.#options.hangMs) this.worker.process.kill('SIGKILL');
    else if (this.worker.isConnected()) this.worker.send('ping');
  }

  #end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    const before = this.#state;
    this.#state = 'gone';
    if (before === 'new') this.emit('failed');
    if (before === 'ready') this.emit('died');
    this.emit('gone');
  }
}

class Fleet implements Cluster {
  readonly #options: ClusterOptions;
  readonly #all = new Set<Member>();
  #team: Member[] = [];
  readonly #ends = new Set<() => void>();
  #stopping: Promise<void> | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    for (let count = 0; count < this.#options.size; count++) this.#join(await this.#recruit());
  }

  stats = () => ({ serving: this.#team.filter((member) => member.isReady).map(({ pid }) => pid) });

  /** All new ones first, then the old ones leave together. */
  async reload(): Promise<void> {
    const old = this.#team;
    const recruits = await Promise.allSettled(old.map(() => this.#recruit()));
    const fresh = recruits.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = recruits.find((one) => one.status === 'rejected');
    if (failed || this.#stopping) {
      await Promise.all(fresh.map((member) => member.leave()));
      throw failed?.reason ?? new Error('Stopped');
    }
    this.#team = [];
    for (const member of fresh) this.#join(member);
    await Promise.all(old.map((member) => member.leave()));
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#end());
  }

  async #end(): Promise<void> {
    await Promise.resolve();
    for (const end of this.#ends) end();
    await Promise.all([...this.#all].map((member) => member.leave()));
  }

  #join(member: Member, instead?: Member): void {
    this.#team = [...this.#team.filter((other) => other !== instead), member];
    member.once('died', () => void this.#replace(member));
    if (member.isGone) void this.#replace(member);
  }

  async #replace(member: Member): Promise<void> {
    if (this.#stopping || !this.#team.includes(member)) return;
    try {
      const recruit = await this.#recruit();
      // A reload may have put others in its place meanwhile.
      if (this.#team.includes(member)) this.#join(recruit, member);
      else await recruit.leave();
    } catch (error) {
      if (!this.#stopping) this.#options.onGiveUp?.(error as Error);
    }
  }

  async #recruit(failures = 0): Promise<Member> {
    if (this.#stopping) throw new Error('Stopped');
    const member = new Member(this.#options);
    this.#all.add(member);
    member.once('gone', () => this.#all.delete(member));
    const isReady = await new Promise<boolean>((resolve) => {
      member.once('ready', () => resolve(true));
      member.once('gone', () => resolve(false));
    });
    if (isReady) return member;
    const { worker, maxFailures, restartMs, maxRestartMs } = this.#options;
    const count = failures + 1;
    if (count >= maxFailures) throw new Error(`${worker}: ${count} failed starts`);
    await this.#pause(Math.min(maxRestartMs, restartMs << failures));
    return await this.#recruit(count);
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = () => {
        this.#ends.delete(end);
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#ends.add(end);
      if (this.#stopping) end();
    });
  }
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const fleet = new Fleet(options);
  try {
    await fleet.start();
  } catch (error) {
    await fleet.stop();
    throw error;
  }
  return fleet;
}
