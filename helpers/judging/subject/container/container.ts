import { randomBytes } from 'node:crypto';
import { chown } from 'node:fs/promises';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { threadId } from 'node:worker_threads';
import { leash } from '../../../foundations/processes/leash.ts';
import { leashedFolder } from '../../../foundations/processes/leashed-folder.ts';
import type { Address, HeldProcess, Outside, ProcessEvents, ProcessOrder } from '../held-process.ts';
import { repositoryRoot } from '../../../foundations/catalogue/target.ts';
import { join, listenTo, say } from './wire.ts';

/** What the runner sends to the agent in a container. */
export type ToAgent =
  | { readonly kind: 'start'; readonly args: readonly string[]; readonly env: Record<string, string> }
  | { readonly kind: 'frame'; readonly frame: Uint8Array }
  | { readonly kind: 'signal'; readonly name: NodeJS.Signals }
  | {
      readonly kind: 'from outside';
      readonly id: number;
      readonly name: keyof Outside;
      readonly args: readonly unknown[];
    }
  | { readonly kind: 'lend'; readonly id: number; readonly way: string };

/** What the agent sends back. */
export type FromAgent =
  | { readonly kind: 'here' }
  | { readonly kind: 'frame'; readonly frame: Uint8Array }
  | { readonly kind: 'fault' }
  | { readonly kind: 'stdout' | 'stderr'; readonly chunk: Uint8Array }
  | { readonly kind: 'failed'; readonly why: string }
  | { readonly kind: 'closed'; readonly code: number | null; readonly signal: string | null }
  | { readonly kind: 'answer'; readonly id: number; readonly value?: unknown; readonly error?: string };

export interface ContainerOrder extends ProcessOrder {
  /** Folders and files of this machine that it sees under their own names. */
  readonly readable: readonly string[];
  /** The folder that the kata's needs are about, where it has one. */
  readonly workspace: { readonly folder: string; readonly isWritable: boolean } | undefined;
}

const agentFile = fileURLToPath(new URL('container-agent.ts', import.meta.url));
const ownFiles = [
  'judging/subject/inside/frames.js',
  'foundations/settings.ts',
  'judging/subject/container/container-agent.ts',
  'judging/subject/container/wire.ts',
  'foundations/processes/proc.ts',
  'foundations/waiting/until.ts',
];
const mebibyte = 1024 * 1024;
/** The heap's limit is 1 GiB; buffers come on top of it. */
const memoryLimit = 2048 * mebibyte;
const processLimit = 128;
const cpuLimit = 2;
/** A container may still come into being this long after we have asked for it and were killed. */
const appearsWithinMs = 15_000;
/** Who it is in the container, where we are root here. */
const ordinaryUser = { uid: 1000, gid: 1000 };

/** The image that subjects run in: `NODE_IMAGE`, by default that of the current Node. */
export function nodeImage(env: NodeJS.ProcessEnv = process.env): string {
  return env['NODE_IMAGE'] || 'node:26-bookworm-slim';
}

/** Part of every name that this thread gives, so that its containers can be recognized. */
export const owner = `${process.pid}-${threadId}`;

/**
 * A process in a container of its own: no network, a disk that cannot be written, an ordinary user without capabilities,
 * limits on memory, processes and processors. Everything between it and us goes through sockets in a folder that both see.
 */
export function startInContainer(order: ContainerOrder, events: ProcessEvents): HeldProcess {
  return new ContainedProcess(order, events);
}

class ContainedProcess implements HeldProcess {
  readonly pid = undefined;
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly #events: ProcessEvents;
  readonly #name = `backend-katas-subject-${owner}-${randomBytes(6).toString('hex')}`;
  readonly #servers: Server[] = [];
  readonly #gone = Promise.withResolvers<void>();
  readonly #waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>();
  readonly #unsent: ToAgent[] = [];
  #folder: Awaited<ReturnType<typeof leashedFolder>> | undefined;
  #takeBack: (() => void) | undefined;
  #control: Socket | undefined;
  #remove: (() => Promise<unknown>) | undefined;
  #isStarted = false;
  #isUnref = false;
  #isOver = false;
  #lastId = 0;

  constructor(order: ContainerOrder, events: ProcessEvents) {
    this.#events = events;
    this.#start(order).catch((error: unknown) => {
      events.failed(wordsOf(error));
      void this.#end(null, null);
    });
  }

  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  send(frame: Uint8Array): void {
    this.#tell({ kind: 'frame', frame });
  }

  signal(name: NodeJS.Signals): void {
    this.#tell({ kind: 'signal', name });
  }

  kill(): void {
    void this.#end(null, 'SIGKILL');
  }

  unref(): void {
    this.#isUnref = true;
    this.#control?.unref();
    for (const server of this.#servers) server.unref();
  }

  fromOutside: HeldProcess['fromOutside'] = (name, ...args) => this.#ask({ kind: 'from outside', name, args });

  async portOutside(port: number): Promise<number> {
    const way = await this.#listen({ host: '127.0.0.1', port: 0 }, (outer) => {
      const inner = connect(this.#inFolder('in'));
      inner.write(`${port}\n`);
      join(outer, inner);
    });
    return (way.address() as { port: number }).port;
  }

  async addressInside({ host, port }: Address): Promise<Address> {
    const way = `out-${++this.#lastId}`;
    await this.#listen(this.#inFolder(way), (inner) => join(inner, connect({ host, port, noDelay: true })));
    return { host: '127.0.0.1', port: await this.#ask<number>({ kind: 'lend', way }) };
  }

  async #start(order: ContainerOrder): Promise<void> {
    const user = process.getuid!() === 0 ? ordinaryUser : { uid: process.getuid!(), gid: process.getgid!() };
    this.#folder = await leashedFolder(tmpdir(), `kata-container-${owner}-`);
    await chown(this.#folder.path, user.uid, user.gid);
    if (order.workspace) await chown(order.workspace.folder, user.uid, user.gid);
    const here = Promise.withResolvers<void>();
    // One connection, and it is the agent's: the module is not there yet when it comes.
    const door = await this.#listen(this.#inFolder('control'), (control) => {
      door.close();
      this.#control = control;
      if (this.#isUnref) control.unref();
      listenTo(control, (message) => this.#hear(message as FromAgent, here.resolve));
      control.on('close', () => void this.#end(null, 'SIGKILL'));
    });

    const { getContainerRuntimeClient } = await import('testcontainers');
    const engine = (await getContainerRuntimeClient()).container.dockerode;
    if (this.#isOver) return;
    this.#takeBack = leash({ container: this.#name, appearsWithinMs });
    const files = ownFiles.map((file) => joinPath(repositoryRoot, 'helpers', file));
    const container = await engine.createContainer({
      name: this.#name,
      Image: nodeImage(),
      Cmd: [
        'node',
        '--disable-warning=ExperimentalWarning',
        agentFile,
        this.#folder.path,
        String(this.#events.longestFrameBytes),
      ],
      Entrypoint: [],
      User: `${user.uid}:${user.gid}`,
      WorkingDir: repositoryRoot,
      AttachStdout: false,
      AttachStderr: false,
      HostConfig: {
        // An engine that is stopped under us removes it when it comes back.
        AutoRemove: true,
        NetworkMode: 'none',
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        Memory: memoryLimit,
        MemorySwap: memoryLimit,
        PidsLimit: processLimit,
        NanoCpus: cpuLimit * 1e9,
        LogConfig: { Type: 'none', Config: {} },
        Mounts: [
          ...[...new Set([...files, ...order.readable])].map((path) => mount(path, 'read')),
          mount(this.#folder.path, 'write'),
          ...(order.workspace ? [mount(order.workspace.folder, order.workspace.isWritable ? 'write' : 'read')] : []),
        ],
      },
    });
    this.#remove = () => container.remove({ force: true, v: true });
    if (this.#isOver) {
      await this.#remove().catch(() => undefined);
      return;
    }
    await container.start();
    const ended = container.wait().then(() => Promise.reject(new Error('its container ended at once')));
    ended.catch(() => undefined);
    await Promise.race([here.promise, ended]);
    const { args, env } = order;
    say(this.#control!, { kind: 'start', args, env } satisfies ToAgent);
    for (const message of this.#unsent.splice(0)) say(this.#control!, message);
    this.#isStarted = true;
  }

  #hear(message: FromAgent, isHere: () => void): void {
    // The module may have found a way to speak here: whatever does not fit is left alone.
    if (message.kind === 'here') isHere();
    else if (message.kind === 'frame') this.#events.frame(Buffer.from(message.frame));
    else if (message.kind === 'fault') this.#events.fault();
    else if (message.kind === 'stdout' || message.kind === 'stderr') this[message.kind].write(message.chunk);
    else if (message.kind === 'failed') this.#events.failed(message.why);
    else if (message.kind === 'closed') void this.#end(message.code, message.signal);
    else if (message.kind === 'answer') {
      const { id, value, error } = message;
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(value as never);
      else waiting?.reject(new Error(error));
    }
  }

  #tell(message: ToAgent): void {
    if (this.#isOver) return;
    if (this.#isStarted) say(this.#control!, message);
    else this.#unsent.push(message);
  }

  async #ask<T>(order: DistributiveOmit<Extract<ToAgent, { id: number }>, 'id'>): Promise<T> {
    if (this.#isOver) throw new Error('Its container has ended.');
    const id = ++this.#lastId;
    return await new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#tell({ ...order, id } as ToAgent);
    });
  }

  async #listen(where: string | Address, onConnection: (socket: Socket) => void): Promise<Server> {
    const server = createServer({ noDelay: true }, onConnection);
    this.#servers.push(server);
    if (this.#isUnref) server.unref();
    const options = typeof where === 'string' ? { path: where, writableAll: true, readableAll: true } : where;
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options, resolve));
    return server;
  }

  /** A socket in the folder that both sides see. */
  #inFolder(name: string): string {
    return joinPath(this.#folder!.path, name);
  }

  /** Takes the container away, once, and then tells that it is gone. */
  async #end(code: number | null, signal: string | null): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const { reject } of this.#waiting.values()) reject(new Error('Its container has ended.'));
    this.#waiting.clear();
    for (const server of this.#servers) server.close();
    this.stdout.end();
    this.stderr.end();
    // Its end is told first: on a busy machine it takes an engine seconds to take a container away.
    const told = Promise.all([finished(this.stdout), finished(this.stderr)])
      .catch(() => undefined)
      .then(() => this.#events.closed(code, signal));
    await this.#remove?.().catch(() => undefined);
    this.#control?.destroy();
    this.#takeBack?.();
    await this.#folder?.[Symbol.asyncDispose]();
    await told;
    this.#gone.resolve();
  }
}

type DistributiveOmit<T, Key extends keyof T> = T extends unknown ? Omit<T, Key> : never;

function mount(path: string, right: 'read' | 'write') {
  return { Type: 'bind' as const, Source: path, Target: path, ReadOnly: right === 'read' };
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message.split('\n')[0]! : String(error);
}
