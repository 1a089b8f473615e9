import fc from 'fast-check';

/** One thing that someone without the password can do to an encrypted file. */
export type Change =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'cut'; readonly to: number }
  | { readonly kind: 'add'; readonly tail: Buffer }
  | { readonly kind: 'leave out' | 'double' | 'swap'; readonly at: number; readonly bytes: number }
  | { readonly kind: 'replace'; readonly at: number; readonly bytes: number; readonly donor: Buffer }
  | { readonly kind: 'number'; readonly at: number; readonly value: number; readonly isLittle: boolean }
  | { readonly kind: 'head'; readonly N: number; readonly r: number; readonly p: number };

/** How a module builds its files, as far as their lengths tell. */
export interface Layout {
  /** The bytes before the first piece; without pieces, all bytes that encryption adds. */
  readonly headBytes: number;
  /** How many bytes of the file are in one piece; undefined when encryption adds the same to every length. */
  readonly pieceBytes: number | undefined;
  /** How many bytes encryption adds to a piece. */
  readonly extraBytes: number;
}

const knownBytes = 16;
/** Numbers for a length or a count that a module may trust. The first one needs too much memory, but not all of it. */
const numbers = [2 ** 29, 0, 1, 2 ** 16, 2 ** 32 - 1];

/** The file after the change. */
export function apply(file: Buffer, change: Change): Buffer {
  switch (change.kind) {
    case 'flip':
      return written(file, change.at, Buffer.of(file[change.at]! ^ (1 << change.bit)));
    case 'cut':
      return file.subarray(0, change.to);
    case 'add':
      return Buffer.concat([file, change.tail]);
    case 'leave out':
      return Buffer.concat([file.subarray(0, change.at), file.subarray(change.at + change.bytes)]);
    case 'double':
      return Buffer.concat([file.subarray(0, change.at + change.bytes), file.subarray(change.at)]);
    case 'swap': {
      const [from, middle, to] = [change.at, change.at + change.bytes, change.at + 2 * change.bytes];
      const parts = [file.subarray(0, from), file.subarray(middle, to), file.subarray(from, middle), file.subarray(to)];
      return Buffer.concat(parts);
    }
    case 'replace':
      return written(file, change.at, change.donor.subarray(change.at, change.at + change.bytes));
    case 'number': {
      const number = Buffer.alloc(4);
      if (change.isLittle) number.writeUInt32LE(change.value);
      else number.writeUInt32BE(change.value);
      return written(file, change.at, number);
    }
    case 'head': {
      const head = Buffer.alloc(12);
      [change.N, change.r, change.p].forEach((value, index) => head.writeUInt32BE(value, 4 * index));
      return written(file, 4, head);
    }
  }
}

/** The change in plain words. */
export function inPlainWords(file: Buffer, change: Change): string {
  const of = `an encrypted file of ${file.length} bytes`;
  switch (change.kind) {
    case 'flip':
      return `bit ${change.bit} of byte ${change.at} of ${of} was flipped`;
    case 'cut':
      return `${of} was cut to ${change.to}`;
    case 'add':
      return `${change.tail.length} bytes were added to ${of}`;
    case 'leave out':
      return `${change.bytes} bytes from byte ${change.at} on were left out of ${of}`;
    case 'double':
      return `${change.bytes} bytes from byte ${change.at} on were doubled in ${of}`;
    case 'swap':
      return `${change.bytes} bytes from byte ${change.at} on and as many after them were swapped in ${of}`;
    case 'replace':
      return `${change.bytes} bytes from byte ${change.at} on of ${of} were replaced by those of another file of the same password`;
    case 'number':
      return `${change.value} was written to byte ${change.at} of ${of}, ${change.isLittle ? 'the lowest' : 'the highest'} byte first`;
    case 'head':
      return `the head of ${of} was made to say N ${change.N}, r ${change.r}, p ${change.p}`;
  }
}

/** All small changes to a small file: every byte flipped, every shorter length, every number at every place. */
export function smallChanges(file: Buffer): Change[] {
  const at = Array.from({ length: Math.min(file.length, 200) }, (_, index) => index);
  const beyondKnown = at.filter((index) => index >= knownBytes);
  const all: Change[] = [
    ...at.map((to): Change => ({ kind: 'cut', to })),
    ...[1, 16, 100].map((bytes): Change => ({ kind: 'add', tail: Buffer.alloc(bytes) })),
    ...[...at.slice(0, 4), ...beyondKnown].map((index): Change => ({ kind: 'flip', at: index, bit: index % 8 })),
    ...numbers.flatMap((value) =>
      beyondKnown
        .filter((index) => index + 4 <= file.length)
        .map((index): Change => ({ kind: 'number', at: index, value, isLittle: false })),
    ),
    { kind: 'head', N: 2048, r: 1, p: 1 },
    { kind: 'head', N: 1024, r: 2, p: 1 },
    { kind: 'head', N: 1024, r: 1, p: 2 },
  ];
  return all.filter((change) => !apply(file, change).equals(file));
}

/** Cuts, exchanges and repetitions where the file's own pieces begin and end, also with pieces of the donor. */
export function pieceChanges(file: Buffer, { headBytes, pieceBytes, extraBytes }: Layout, donor: Buffer): Change[] {
  const stride = (pieceBytes ?? 16_384) + extraBytes;
  const begins: number[] = [];
  for (let at = headBytes; at < file.length; at += stride) begins.push(at);
  const pieces = begins.filter((at) => at + stride <= file.length).map((at) => ({ at, bytes: stride }));
  const all: Change[] = [
    ...begins.map((to): Change => ({ kind: 'cut', to })),
    ...pieces.flatMap((piece): Change[] => [
      { kind: 'leave out', ...piece },
      { kind: 'double', ...piece },
      { kind: 'replace', ...piece, donor },
    ]),
    ...pieces.slice(1).map(({ at }): Change => ({ kind: 'swap', at: at - stride, bytes: stride })),
    { kind: 'cut', to: file.length - 1 },
    { kind: 'add', tail: file },
    { kind: 'add', tail: file.subarray(headBytes) },
    { kind: 'add', tail: donor.subarray(headBytes) },
    { kind: 'replace', at: knownBytes, bytes: headBytes - knownBytes, donor },
    { kind: 'replace', at: headBytes, bytes: file.length - headBytes, donor },
  ];
  return all.filter((change) => !apply(file, change).equals(file));
}

/** Changes of all kinds to draw from: anywhere, in the head, at the end, and where pieces begin. */
export function changes(
  file: Buffer,
  { headBytes, pieceBytes, extraBytes }: Layout,
  donor: Buffer,
): fc.Arbitrary<Change> {
  const stride = (pieceBytes ?? 16_384) + extraBytes;
  const last = file.length - 1;
  const at = fc.oneof(
    fc.integer({ min: knownBytes, max: last }),
    fc.integer({ min: knownBytes, max: Math.min(last, headBytes + 32) }),
    fc.integer({ min: Math.max(knownBytes, last - 32), max: last }),
    fc.nat(Math.max(0, Math.floor((last - headBytes) / stride))).map((index) => headBytes + index * stride),
  );
  const bytes = fc.oneof(fc.integer({ min: 1, max: 64 }), fc.constantFrom(stride, 2 * stride));
  const kind = <Kind extends string>(name: Kind) => fc.constant(name);
  return fc
    .oneof<fc.Arbitrary<Change>[]>(
      fc.record({ kind: kind('flip'), at: fc.oneof(at, fc.nat(3)), bit: fc.nat(7) }),
      fc.record({ kind: kind('cut'), to: fc.oneof(at, fc.nat(last)) }),
      fc.record({
        kind: kind('add'),
        tail: fc.uint8Array({ minLength: 1, maxLength: 300 }).map((tail) => Buffer.from(tail)),
      }),
      fc.record({ kind: fc.constantFrom('leave out', 'double', 'swap'), at, bytes }),
      fc.record({ kind: kind('replace'), at, bytes, donor: fc.constant(donor) }),
      fc.record({ kind: kind('number'), at, value: fc.constantFrom(...numbers), isLittle: fc.boolean() }),
    )
    .filter((change) => !apply(file, change).equals(file));
}

/** The file with these bytes at this place. It does not get longer. */
function written(file: Buffer, at: number, bytes: Uint8Array): Buffer {
  const copy = Buffer.from(file);
  copy.set(bytes.subarray(0, Math.max(0, copy.length - at)), at);
  return copy;
}
