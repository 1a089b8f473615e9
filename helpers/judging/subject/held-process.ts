import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { readFrames, writeFrame } from './inside/frames.js';
import { fromOutside } from '../../foundations/processes/proc.ts';
import { killGroup } from '../../foundations/processes/kill-group.js';
import { leash } from '../../foundations/processes/leash.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

/** What can be read of a process from outside. */
export type Outside = typeof fromOutside;
type OutsideArguments<Name extends keyof Outside> =
  Parameters<Outside[Name]> extends [number, ...infer Rest] ? Rest : never;

/** The process of a subject, wherever it runs. */
export interface HeldProcess {
  /** Undefined when it could not be started or does not run on this machine. */
  readonly pid: number | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when nothing of it is left. */
  readonly gone: Promise<void>;
  /** Sends a frame to its host; what cannot be sent any more is dropped. */
  send(frame: Uint8Array): void;
  /**
   * Sends it a signal, and nothing to what it has started. Does nothing when it has ended.
   * @throws Error on Windows, where a process gets no signals
   */
  signal(name: NodeJS.Signals): void;
  /** Ends it at once, with everything that it started. Does nothing when it has ended. */
  kill(): void;
  /** Lets the runner end although it is there. */
  unref(): void;
  /** Reads it from outside. */
  fromOutside<Name extends keyof Outside>(
    name: Name,
    ...args: OutsideArguments<Name>
  ): Promise<Awaited<ReturnType<Outside[Name]>>>;
  /** Under which port of this machine's 127.0.0.1 its port of that number is reached. */
  portOutside(port: number): Promise<number>;
  /** Under which address it reaches this address of the judge's machine. */
  addressInside(address: Address): Promise<Address>;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ProcessEvents {
  /** Its host, or the module in its place, has sent a frame. */
  frame(frame: Buffer): void;
  /** The module has sent what is no frame. */
  fault(): void;
  /** The longest frame that is taken, in bytes. */
  readonly longestFrameBytes: number;
  /** It could not be started. */
  failed(why: string): void;
  /** It has ended, and all of its output has arrived. */
  closed(code: number | null, signal: string | null): void;
}

export interface ProcessOrder {
  /** Node's flags, the host's file, and what the host is given. */
  readonly args: readonly string[];
  readonly env: Record<string, string>;
}

/** A process of this machine, in a group of its own, held by Node's permission model. */
export function startProcess({ args, env }: ProcessOrder, events: ProcessEvents): HeldProcess {
  const child = spawn(process.execPath, args, {
    cwd: repositoryRoot,
    detached: process.platform !== 'win32',
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    windowsHide: true,
  });
  const release = child.pid === undefined ? () => undefined : leash({ kill: child.pid });
  let hasClosed = false;
  const { promise: gone, resolve: isGone } = Promise.withResolvers<void>();
  // After it has closed, another process may have its id.
  const kill = () => void (!hasClosed && killGroup(child.pid));

  const channel = child.stdio[3] as Socket;
  readFrames(channel, events.longestFrameBytes, events.frame, events.fault);
  child.on('error', (error) => {
    events.failed(error.message);
    if (child.pid === undefined) isGone();
  });
  // A child of the module's own may hold the pipes open: the whole group goes with its leader.
  child.on('exit', kill);
  child.on('close', (code, signal) => {
    hasClosed = true;
    release();
    events.closed(code, signal);
    isGone();
  });
  return {
    pid: child.pid,
    gone,
    stdout: child.stdout!,
    stderr: child.stderr!,
    send: (frame) => void (channel.writable && writeFrame(channel, frame)),
    signal(name) {
      if (process.platform === 'win32')
        throw new Error('Windows has no signals to send. Run this kata in WSL, or on Linux or macOS.');
      if (!hasClosed) child.kill(name);
    },
    kill,
    unref() {
      child.unref();
      for (const stream of [child.stdout, child.stderr, channel]) (stream as unknown as { unref(): void }).unref();
    },
    // The names and their arguments belong together; TypeScript does not see it through the table.
    fromOutside: async (name, ...rest) =>
      await (fromOutside[name] as (...all: unknown[]) => Promise<never>)(child.pid, ...rest),
    portOutside: (port) => Promise.resolve(port),
    addressInside: (address) => Promise.resolve(address),
  };
}
