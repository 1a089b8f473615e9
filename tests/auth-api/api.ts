import { randomUUID, scryptSync } from 'node:crypto';
import fc from 'fast-check';
import type { Client } from 'undici';
import { expect } from 'vitest';
import { type Answer, type Question, ask, connectionTo } from '../../helpers/instruments/readers/ask.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';
import type { Patience } from '../../helpers/judging/subject/patience.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/auth-api/auth-api.ts';
import {
  type AppSettings,
  isUnanswered,
  removeUser,
  requestsArrived,
  setClock,
  startApp,
  untilArrived,
} from './inside.ts';
import { Upload } from './upload.ts';

export const second = 1000;
export const minute = 60 * second;
export const day = 24 * 60 * minute;

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly password: string;
  readonly passwordHash: string;
}

const text = fc.string({ unit: fc.constantFrom(...'abcdefghijkmnpqrstuvwxyz23456789'), minLength: 8, maxLength: 8 });
const texts = fc.sample(fc.uniqueArray(text, { minLength: 12, maxLength: 12 }), { seed: chosenSeed(), numRuns: 1 })[0]!;

/** Words that follow this run's seed and that occur nowhere else. */
export const words = { wrong: texts[9]!, unknown: texts[10]!, other: texts[11]! };

function person(at: number, password: string): Person {
  const salt = Buffer.from(texts[at]! + texts[at + 1]!);
  const key = scryptSync(password, salt, 32);
  const passwordHash = `${salt.toString('hex')}:${key.toString('hex')}`;
  return { id: `id-${texts[at]}`, name: texts[at + 1]!, password, passwordHash };
}

export const ann = person(0, texts[2]!);
export const bob = person(3, texts[5]!);
/** Not everything is one byte long. */
export const zoe = person(6, `${texts[8]}ü東🦊`);
/** Users for an app of their own. Their passwords are others once they are trimmed, lower-cased or normalized. */
export const literal = [
  { what: 'has blanks around it and capital letters', who: person(0, ` ${texts[2]!.toUpperCase()} `) },
  {
    what: 'has a decomposed accent, a composed one, a ligature and a full-width letter',
    who: person(3, `${texts[5]}e\u0301éﬁＡ`),
  },
];

/** What the app is told of them. */
export function usersOf(people: readonly Person[]): Kata.User[] {
  return people.map(({ id, name, passwordHash }) => ({ id, name, passwordHash }));
}

/** What a request is told to send. */
type Ask = Omit<Question, 'body'> & { readonly json?: unknown; readonly body?: string | Buffer };

/** One app in the subject's process, and what clients do with it. Keeps all its answers. */
export class Api {
  readonly port: number;
  readonly answers: Answer[] = [];
  readonly secret: string;
  readonly #subject: Subject<typeof Kata>;
  readonly #portInside: number;
  readonly #patience: Patience;
  #nowMs: number;

  private constructor(
    subject: Subject<typeof Kata>,
    patience: Patience,
    settings: AppSettings,
    port: number,
    portInside: number,
  ) {
    this.#patience = patience;
    this.#subject = subject;
    this.secret = settings.secret;
    this.#nowMs = settings.nowMs;
    this.port = port;
    this.#portInside = portInside;
  }

  /** Unless told otherwise: with a secret of its own, at a drawn time in whole seconds. */
  static async open(
    subject: Subject<typeof Kata>,
    patience: Patience,
    choice: Partial<AppSettings> = {},
  ): Promise<Api> {
    const nowMs = drawOne(fc.integer({ min: 1_000_000_000, max: 1_700_000_000 })) * second;
    const settings = { secret: `${randomUUID()}${randomUUID()}`, nowMs, users: usersOf([ann, bob, zoe]), ...choice };
    const port = await subject.run(startApp, settings);
    return new Api(subject, patience, settings, await subject.portOutside(port), port);
  }

  /** Runs a function of inside.ts that is told the port alone. */
  async run<Result>(fn: (inside: { kata: typeof Kata; args: number; kept: never; tools: never }) => Result) {
    return await this.#subject.run(fn as never as () => Result | Promise<Result>, this.#portInside as never);
  }

  get portInside(): number {
    return this.#portInside;
  }

  /** Lets time pass, for the injected clock. */
  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    await this.#subject.run(setClock, { port: this.#portInside, nowMs: this.#nowMs });
  }

  async removeUser(id: string): Promise<void> {
    await this.#subject.run(removeUser, { port: this.#portInside, id });
  }

  /** Sends the head of an upload, and comes back when the app has had its turns for it. */
  async upload(path: string, lengthBytes: number | undefined): Promise<Upload> {
    const arrived = await this.run(requestsArrived);
    const upload = new Upload(this.port, path, lengthBytes);
    await this.#subject.run(untilArrived, { port: this.#portInside, count: arrived + 1 });
    upload.isWaiting = await this.run(isUnanswered);
    return upload;
  }

  /** Sends a request and reads the answer to its end. Never throws. */
  async ask(path: string, { json, ...question }: Ask = {}): Promise<Answer> {
    const body = json === undefined ? question.body : JSON.stringify(json);
    const answer = await ask(this.port, path, {
      comes: (promise) => this.#patience.settles(this.#subject, promise),
      ...question,
      ...(body !== undefined && { body, headers: { 'content-type': 'application/json', ...question.headers } }),
    });
    this.answers.push(answer);
    return answer;
  }

  async post(path: string, json: unknown, connection?: Client): Promise<Answer> {
    return await this.ask(path, { method: 'POST', json, ...(connection && { connection }) });
  }

  async tryLogin(name: string, password: string): Promise<Answer> {
    return await this.post('/login', { name, password });
  }

  async refresh(refreshToken: string, connection?: Client): Promise<Answer> {
    return await this.post('/refresh', { refreshToken }, connection);
  }

  async profile(token: string): Promise<Answer> {
    return await this.ask('/api/profile', { headers: { authorization: `Bearer ${token}` } });
  }

  async logout(token: string, connection?: Client): Promise<Answer> {
    const headers = { authorization: `Bearer ${token}` };
    return await this.ask('/logout', { method: 'POST', headers, ...(connection && { connection }) });
  }

  /** Logs in. Fails unless that gives two tokens. */
  async login({ name, password }: Person = ann, connection?: Client): Promise<Kata.TokenPair> {
    return pairOf(await this.post('/login', { name, password }, connection), 'POST /login with the right password');
  }

  /** Refreshes. Fails unless that gives two tokens. */
  async renew({ refreshToken }: Kata.TokenPair, connection?: Client): Promise<Kata.TokenPair> {
    return pairOf(await this.refresh(refreshToken, connection), 'POST /refresh with the newest token');
  }

  /** Fails unless both tokens still do what they are for. Uses the refresh token. */
  async expectAlive(pair: Kata.TokenPair, what: string): Promise<void> {
    expectStatus(await this.profile(pair.accessToken), 200, `${what}; GET /api/profile`);
    expectStatus(await this.refresh(pair.refreshToken), 200, `${what}; POST /refresh`);
  }

  /** Fails unless both tokens are refused. */
  async expectDead(pair: Kata.TokenPair, what: string): Promise<void> {
    expectStatus(await this.profile(pair.accessToken), 401, `${what}; GET /api/profile`);
    expectStatus(await this.refresh(pair.refreshToken), 401, `${what}; POST /refresh`);
  }
}

export function connect({ port }: Api): Client {
  return connectionTo(port);
}

export function expectStatus({ status }: Answer, expected: number, what: string): void {
  expect(status, `${what}; status`).toBe(expected);
}

/** The tokens of an answer. Fails unless it has status 200 and both of them. */
export function pairOf(answer: Answer, what: string): Kata.TokenPair {
  const { body, headers } = answer;
  expectStatus(answer, 200, what);
  expect(String(headers['content-type']), `${what}; content-type`).toMatch(/^application\/json\b/);
  const pair = jsonOf(body) as Kata.TokenPair;
  expect(pair, `${what}; the answer`).toMatchObject({
    accessToken: expect.stringMatching(/^[\w.~+/-]+=*$/),
    refreshToken: expect.any(String),
  });
  return pair;
}

export function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return body.toString();
  }
}
