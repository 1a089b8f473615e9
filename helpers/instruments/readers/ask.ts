import { type Agent, type IncomingHttpHeaders, request } from 'node:http';
import { settles } from '../../foundations/waiting/until.ts';

/** An answer that was read to its end. */
export interface Answer {
  /** 0 when there was none: the connection broke, or nothing came within the limit. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Whether the answer came to its end as HTTP says it. */
  readonly isComplete: boolean;
}

export interface Question {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** To use a connection again; by default there is one for each question. */
  readonly agent?: Agent;
  /** Default 10,000, for what never comes. */
  readonly limitMs?: number;
  /** Called when the question is on its way, or when no answer will come. */
  readonly onSent?: () => void;
}

/** Asks an HTTP server on this machine for something small. Never throws. */
export async function ask(port: number, path: string, question: Question = {}): Promise<Answer> {
  const { method = 'GET', headers, agent = false, limitMs = 10_000, onSent } = question;
  const { promise, resolve } = Promise.withResolvers<void>();
  let answer: Answer = { status: 0, headers: {}, body: Buffer.alloc(0), isComplete: false };
  const asked = request({ host: '127.0.0.1', port, path, method, headers, agent }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', () => undefined);
    response.on('close', () => {
      answer = {
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(chunks),
        isComplete: response.complete,
      };
      resolve();
    });
  });
  if (onSent) asked.on('finish', onSent).on('close', onSent);
  asked.on('error', () => resolve());
  asked.end();
  if (!(await settles(promise, limitMs))) asked.destroy();
  return answer;
}
