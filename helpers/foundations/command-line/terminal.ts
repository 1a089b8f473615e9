import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Puts a color or a style around a text, or leaves the text as it is. */
export type Paint = (style: Style, text: string) => string;

/** Whether the text on standard output may be colored: on a terminal, unless NO_COLOR says otherwise, or where FORCE_COLOR is set. */
export function wantsColor(): boolean {
  return process.stdout.isTTY ? process.env.NO_COLOR === undefined : process.env.FORCE_COLOR !== undefined;
}

/** A painter for text that goes to standard output. */
export function painter(isColored = wantsColor()): Paint {
  return isColored ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text;
}

/** Prints a line on standard output: a result. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints a line on standard error: what a command is doing, or what is wrong. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/**
 * Shows how far a command has come: on a terminal one line of standard error that the next one replaces, and that an empty one
 * removes. In a log each line stays, so `inLog` says which lines are worth it; by default all.
 */
export function showProgress(line: string, inLog: (line: string) => boolean = () => true): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
  else if (line !== '' && inLog(line)) note(line);
}
