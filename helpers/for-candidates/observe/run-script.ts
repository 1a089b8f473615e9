import Table from 'cli-table3';
import { type ObservedProcess, figureText } from './observed-process.ts';

/** Does what the kata's script says, and gives back the figures after each step, and a collection, as a table. */
export async function runScript(watched: ObservedProcess): Promise<string> {
  const rows = [{ step: 'start', figures: await watched.figures({ afterCollection: true }) }];
  for (const key of watched.observed.script) {
    const action = watched.action(key);
    if (!action) throw new Error(`The kata's script names the key ${key}, and no action has it.`);
    await action.run();
    rows.push({ step: action.label, figures: await watched.figures({ afterCollection: true }) });
  }
  const names = Object.keys(rows[0]!.figures);
  const table = new Table({
    head: ['after', ...rows.map(({ step }) => step)],
    colWidths: [12, ...rows.map(() => 12)],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const name of names) table.push([name, ...rows.map(({ figures }) => figureText(name, figures[name]!))]);
  return table.toString();
}
