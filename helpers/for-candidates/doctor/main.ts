import { styleText } from 'node:util';
import { Command } from 'commander';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { inspectMachine } from './report.ts';
import { type Paint, reportText } from './report-text.ts';

const command = new Command('npm run doctor')
  .description('Tells what this machine has for the katas: Node, MySQL, room, and which katas can run. Starts nothing.')
  .option('--json', 'the same for a program')
  .addHelpText('after', '\nExit code: 0 every kata can run here, 1 one cannot, 2 wrong arguments.');

/** Colour on a terminal only, and there as NO_COLOR and its like allow. */
const paint: Paint = (colour, text) =>
  process.stdout.isTTY ? styleText(colour, text, { stream: process.stdout }) : text;

await runCommand(async () => {
  const { options } = parseArguments<{ json?: boolean }>(command);
  const report = await inspectMachine();
  process.stdout.write(`${options.json ? JSON.stringify(report, undefined, 2) : reportText(report, paint)}\n`);
  return report.katas.every(({ canRun }) => canRun) ? 0 : 1;
});
