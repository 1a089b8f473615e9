import { text } from 'node:stream/consumers';
import { essence } from './similarity.ts';
import { exportsOf } from './exports-of.ts';

// A process of its own: a parser that overflows its stack ends this process and no other. Started by read-stranger.ts.

const source = await text(process.stdin);
const [exports, nameless] = await Promise.all([exportsOf(source), essence(source)]);
// esbuild's process would keep this one.
process.stdout.write(JSON.stringify({ exports, essence: nameless }), () => process.exit());
