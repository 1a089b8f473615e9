// The little of MySQL's client/server protocol that the proxy needs to tell commands and their answers apart.
// Source: MySQL Internals, "Client/Server Protocol", https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html

/** One packet of the protocol: a sequence number and what it carries. */
export interface Packet {
  readonly sequence: number;
  readonly payload: Buffer;
}

/** Cuts a byte stream into packets: 3 bytes of length, 1 byte of sequence number, the payload. */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0);

  /** Takes the next bytes and gives back the packets that they complete. */
  push(chunk: Buffer): Packet[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const packets: Packet[] = [];
    while (this.#rest.length >= 4) {
      const end = 4 + this.#rest.readUIntLE(0, 3);
      if (this.#rest.length < end) break;
      packets.push({ sequence: this.#rest[3]!, payload: this.#rest.subarray(4, end) });
      this.#rest = this.#rest.subarray(end);
    }
    return packets;
  }
}

/** The bytes of a packet. */
export function writePacket({ sequence, payload }: Packet): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(payload.length, 0, 3);
  header[3] = sequence;
  return Buffer.concat([header, payload]);
}

/** The bytes of a command that runs one statement. */
export function writeQuery(sql: string, capabilities: number): Buffer {
  const attributes = (capabilities & capability.queryAttributes) === 0 ? [] : [0, 1];
  return writePacket({ sequence: 0, payload: Buffer.concat([Buffer.from([3, ...attributes]), Buffer.from(sql)]) });
}

const capability = { deprecateEof: 1 << 24, queryAttributes: 1 << 27 };

/** What the server says first: the id of its thread, and what it is capable of. */
export function readGreeting(payload: Buffer): { threadId: number; capabilities: number } {
  const versionEnd = payload.indexOf(0, 1);
  const threadId = payload.readUInt32LE(versionEnd + 1);
  const flags = versionEnd + 1 + 4 + 8 + 1;
  return { threadId, capabilities: payload.readUInt16LE(flags) | (payload.readUInt16LE(flags + 5) << 16) };
}

/** Bits of the server's greeting that would keep the proxy from reading along: compression, TLS. */
const unreadable = [5, 11, 26];

/** Takes compression and TLS out of a greeting (in place), so that no client asks for them. */
export function keepReadable(greeting: Buffer): void {
  const flags = greeting.indexOf(0, 1) + 1 + 4 + 8 + 1;
  for (const bit of unreadable) {
    const at = bit < 16 ? flags + (bit >> 3) : flags + 5 + ((bit - 16) >> 3);
    greeting[at] = greeting[at]! & ~(1 << (bit & 7));
  }
}

const commandNames = new Map([
  [0x01, 'QUIT'],
  [0x02, 'INIT_DB'],
  [0x03, 'QUERY'],
  [0x0e, 'PING'],
  [0x11, 'CHANGE_USER'],
  [0x16, 'PREPARE'],
  [0x17, 'EXECUTE'],
  [0x18, 'SEND_LONG_DATA'],
  [0x19, 'CLOSE_STATEMENT'],
  [0x1a, 'RESET_STATEMENT'],
  [0x1f, 'RESET_CONNECTION'],
]);

/** A statement that was prepared: its text, and how many parameters it takes. */
export interface Prepared {
  readonly sql: string;
  readonly parameters: number;
}

/** What a client asks of the server. */
export interface Request {
  readonly name: string;
  /** The statement with its parameters filled in, or the command's name in brackets. */
  readonly sql: string;
  /** Whether the server does anything for it that another session could notice. */
  readonly matters: boolean;
  readonly answered: boolean;
}

/** Reads a command; `prepared` are the statements of this connection by their ids. */
export function readRequest(payload: Buffer, capabilities: number, prepared: ReadonlyMap<number, Prepared>): Request {
  const name = commandNames.get(payload[0] ?? 0) ?? `COMMAND_${payload[0]}`;
  const attributes = (capabilities & capability.queryAttributes) !== 0;
  return {
    name,
    sql: requestText(name, payload, attributes, prepared),
    matters: ['QUERY', 'EXECUTE', 'INIT_DB'].includes(name),
    answered: !['QUIT', 'CLOSE_STATEMENT', 'SEND_LONG_DATA'].includes(name),
  };
}

function requestText(
  name: string,
  payload: Buffer,
  attributes: boolean,
  prepared: ReadonlyMap<number, Prepared>,
): string {
  if (name === 'QUERY') return oneLine(payload.toString('utf8', attributes && payload[1] === 0 ? 3 : 1));
  if (name === 'PREPARE') return oneLine(payload.toString('utf8', 1));
  if (name === 'EXECUTE') {
    const statement = prepared.get(payload.readUInt32LE(1));
    if (!statement) return '[EXECUTE]';
    try {
      const values = readParameters(payload, statement.parameters, attributes);
      return statement.sql.replaceAll('?', () => values.shift() ?? '?');
    } catch {
      return statement.sql;
    }
  }
  return `[${name}]`;
}

function oneLine(sql: string): string {
  return sql.replace(/\s+/g, ' ').trim();
}

function readParameters(payload: Buffer, count: number, attributes: boolean): string[] {
  const cursor = new Cursor(payload, 10);
  if (count === 0) return [];
  if (attributes) cursor.lengthEncoded();
  const nulls = cursor.bytes((count + 7) >> 3);
  if (cursor.uint8() !== 1) return [];
  const types: number[] = [];
  for (let i = 0; i < count; i++) {
    types.push(cursor.uint8());
    cursor.uint8();
    if (attributes) cursor.text();
  }
  return types.map((type, i) => (nulls[i >> 3]! & (1 << (i & 7)) ? 'NULL' : cursor.binary(type)));
}

/** Reads the answer to one request, packet by packet, to know when it is whole and how to tell it in a few words. */
export class AnswerReader {
  readonly #request: Request;
  readonly #deprecateEof: boolean;
  #state: 'first' | 'columns' | 'rows' | 'definitions' = 'first';
  #left = 0;
  #types: number[] = [];
  #rows = 0;
  #firstRow: string | undefined;
  /** The answer in a few words, once it is whole. */
  summary: string | undefined;
  /** The server's error number, when the answer is an error. */
  errno: number | undefined;
  /** How many statements have been answered so far: several may have come in one command. */
  statements = 0;
  /** Whether the server waits for the content of a file, as of LOAD DATA LOCAL INFILE: what the client says now is no command. */
  wantsFile = false;
  /** Set when a statement was prepared. */
  prepared: { readonly id: number; readonly statement: Prepared } | undefined;

  constructor(request: Request, capabilities: number) {
    this.#request = request;
    this.#deprecateEof = (capabilities & capability.deprecateEof) !== 0;
  }

  /** Takes the next packet of the answer. */
  push(payload: Buffer): void {
    const first = payload[0];
    if (first === 0xff && this.#state !== 'definitions') {
      this.errno = payload.readUInt16LE(1);
      const message = payload.toString('utf8', payload[3] === 0x23 ? 9 : 3);
      this.statements += 1;
      this.#finish(`error ${this.errno}: ${message}`);
    } else if (this.#state === 'first') this.#takeFirst(payload);
    else if (this.#state === 'definitions') this.#takeDefinition();
    else if (this.#state === 'columns') this.#takeColumn(payload);
    else this.#takeRow(payload);
  }

  #finish(summary: string): void {
    this.summary = summary;
  }

  #takeFirst(payload: Buffer): void {
    if (this.#request.name === 'PREPARE' && payload[0] === 0) {
      const columns = payload.readUInt16LE(5);
      const parameters = payload.readUInt16LE(7);
      this.prepared = { id: payload.readUInt32LE(1), statement: { sql: this.#request.sql, parameters } };
      const eofs = this.#deprecateEof ? 0 : Number(columns > 0) + Number(parameters > 0);
      this.#left = columns + parameters + eofs;
      this.#state = 'definitions';
      if (this.#left === 0) this.#finish('prepared');
    } else if (payload[0] === 0) {
      const cursor = new Cursor(payload, 1);
      const affected = cursor.lengthEncoded();
      const insertId = cursor.lengthEncoded();
      const more = (cursor.bytes(2).readUInt16LE(0) & 8) !== 0;
      const told = /^(insert|update|delete|replace|load)\b/i.test(this.#request.sql)
        ? `${affected} ${affected === 1 ? 'row' : 'rows'}${insertId > 0 ? `, insert id ${insertId}` : ''}`
        : 'OK';
      this.statements += 1;
      this.wantsFile = false;
      if (!more) this.#finish(told);
    } else if (payload[0] === 0xfb) {
      this.wantsFile = true;
    } else if (payload[0] === 0xfe) {
      this.#finish('OK');
    } else {
      this.#left = new Cursor(payload, 0).lengthEncoded() + (this.#deprecateEof ? 0 : 1);
      this.#state = 'columns';
      this.#types = [];
    }
  }

  #takeDefinition(): void {
    if (--this.#left === 0) this.#finish('prepared');
  }

  #takeColumn(payload: Buffer): void {
    this.#left -= 1;
    // The type stands at a fixed place before the end, also where MariaDB has put more before it.
    if (this.#left > 0 || this.#deprecateEof) this.#types.push(payload[payload.length - 6] ?? 0);
    if (this.#left === 0) this.#state = 'rows';
  }

  #takeRow(payload: Buffer): void {
    if (payload[0] === 0xfe && payload.length < (this.#deprecateEof ? 0xffffff : 9)) {
      const cursor = new Cursor(payload, 1);
      if (this.#deprecateEof) {
        cursor.lengthEncoded();
        cursor.lengthEncoded();
      } else cursor.bytes(2);
      const more = (cursor.bytes(2).readUInt16LE(0) & 8) !== 0;
      this.statements += 1;
      if (more) this.#state = 'first';
      else
        this.#finish(
          this.#rows === 0 ? 'no row' : this.#rows === 1 ? (this.#firstRow ?? '1 row') : `${this.#rows} rows`,
        );
      return;
    }
    this.#rows += 1;
    if (this.#rows > 1) return;
    try {
      const values = this.#request.name === 'EXECUTE' ? this.#binaryRow(payload) : this.#textRow(payload);
      this.#firstRow = values.length === 1 ? values[0] : `(${values.join(', ')})`;
    } catch {
      this.#firstRow = undefined;
    }
  }

  #textRow(payload: Buffer): string[] {
    const cursor = new Cursor(payload, 0);
    return this.#types.map((type) => cursor.nullableText(type));
  }

  #binaryRow(payload: Buffer): string[] {
    const cursor = new Cursor(payload, 1);
    const nulls = cursor.bytes((this.#types.length + 9) >> 3);
    return this.#types.map((type, i) => (nulls[(i + 2) >> 3]! & (1 << ((i + 2) & 7)) ? 'NULL' : cursor.binary(type)));
  }
}

/** Types whose text is shown without quotes: numbers. */
const numeric = new Set([0, 1, 2, 3, 4, 5, 8, 9, 13, 246]);

class Cursor {
  readonly #buffer: Buffer;
  #at: number;

  constructor(buffer: Buffer, at: number) {
    this.#buffer = buffer;
    this.#at = at;
  }

  bytes(count: number): Buffer {
    if (this.#at + count > this.#buffer.length) throw new RangeError('packet too short');
    return this.#buffer.subarray(this.#at, (this.#at += count));
  }

  uint8(): number {
    return this.bytes(1)[0]!;
  }

  lengthEncoded(): number {
    const first = this.uint8();
    if (first < 0xfb) return first;
    const size = first === 0xfc ? 2 : first === 0xfd ? 3 : 8;
    return size === 8 ? Number(this.bytes(8).readBigUInt64LE(0)) : this.bytes(size).readUIntLE(0, size);
  }

  text(): string {
    return this.bytes(this.lengthEncoded()).toString('utf8');
  }

  nullableText(type: number): string {
    if (this.#buffer[this.#at] === 0xfb) {
      this.#at += 1;
      return 'NULL';
    }
    const text = this.text();
    return numeric.has(type) ? text : `'${text}'`;
  }

  /** A date, with its time of day where it has one; `[time]` for a duration. */
  #time(type: number): string {
    const value = this.bytes(this.uint8());
    if (type === 11 || value.length < 4) return '[time]';
    const day = [value.readUInt16LE(0), value[2], value[3]].map((part) => String(part).padStart(2, '0')).join('-');
    if (value.length < 7) return `'${day}'`;
    const time = [...value.subarray(4, 7)].map((part) => String(part).padStart(2, '0')).join(':');
    const micros = value.length < 11 ? '' : `.${String(value.readUInt32LE(7)).padStart(6, '0')}`;
    return `'${day} ${time}${micros}'`;
  }

  binary(type: number): string {
    switch (type) {
      case 1:
        return String(this.bytes(1).readInt8(0));
      case 2:
      case 13:
        return String(this.bytes(2).readInt16LE(0));
      case 3:
      case 9:
        return String(this.bytes(4).readInt32LE(0));
      case 4:
        return String(this.bytes(4).readFloatLE(0));
      case 5:
        return String(this.bytes(8).readDoubleLE(0));
      case 8:
        return String(this.bytes(8).readBigInt64LE(0));
      case 7:
      case 10:
      case 11:
      case 12:
        return this.#time(type);
      default: {
        const text = this.text();
        return numeric.has(type) ? text : `'${text}'`;
      }
    }
  }
}
