import { finished } from 'node:stream/promises';
import { Client } from 'undici';
import { settles } from '../../foundations/waiting/until.ts';

/** An answer that was read to its end. */
export interface Answer {
  /** 0 when there was none: the connection broke, or nothing came in time. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** Whether the answer came to its end as HTTP says it. */
  readonly isComplete: boolean;
}

export interface Question {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** A name with several values is sent once for each of them. */
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
  /** To use a connection again; by default there is one for each question. */
  readonly connection?: Client;
  /** Waits for the answer and says whether it came; by default for 10,000 ms in which the judge runs. */
  readonly comes?: (answer: Promise<unknown>) => Promise<boolean>;
}

const none: Answer = { status: 0, headers: {}, body: Buffer.alloc(0), isComplete: false };

/** A connection to an HTTP server on this machine that takes one question at a time. Open from its first question on. */
export function connectionTo(port: number): Client {
  // `ask` has its own limit.
  return new Client(`http://127.0.0.1:${port}`, { headersTimeout: 0, bodyTimeout: 0, connectTimeout: 0 });
}

/** Asks an HTTP server on this machine for something small. Never throws. */
export async function ask(port: number, path: string, question: Question = {}): Promise<Answer> {
  const { connection = connectionTo(port), comes = (promise) => settles(promise, 10_000) } = question;
  const limit = new AbortController();
  const answer = read(connection, path, question, limit.signal).catch(() => none);
  const hasCome = await comes(answer);
  if (!hasCome) limit.abort();
  if (!question.connection) await connection.destroy();
  return hasCome ? await answer : none;
}

async function read(
  connection: Client,
  path: string,
  { method = 'GET', headers = {}, body }: Question,
  signal: AbortSignal,
): Promise<Answer> {
  const response = await connection.request({ path, method, headers, signal, body: body ?? null });
  const chunks: Buffer[] = [];
  response.body.on('data', (chunk: Buffer) => chunks.push(chunk));
  const isComplete = await finished(response.body).then(
    () => true,
    () => false,
  );
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks), isComplete };
}
