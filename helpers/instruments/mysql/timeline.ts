import Table from 'cli-table3';

interface Entry {
  readonly who: string;
  readonly link: number;
  text: string;
}

/** How wide a timeline is drawn, so that it fits a terminal of 80 columns with its indent. */
const width = 76;

/** What passed between several sessions and the server, in the order in which it passed. */
export class Timeline {
  readonly #entries: Entry[] = [];

  /** Notes a command as it is sent; the function that comes back notes its answer. */
  command(who: string, link: number, sql: string): (answer: string) => void {
    const entry = this.#add(who, link, sql);
    return (answer) => {
      if (this.#entries.at(-1) === entry) entry.text += ` → ${answer}`;
      else this.#add(who, link, `(${sql.split(' ', 1)[0]}) → ${answer}`);
    };
  }

  /** Notes something that a session does or meets. */
  note(who: string, link: number, text: string): void {
    this.#add(who, link, `[${text}]`);
  }

  /** The sessions side by side, a column each; a line each when there are more than two. */
  toString(): string {
    if (this.#entries.length === 0) return '(nothing was sent to the server)';
    const sessions = [...new Set(this.#entries.map(({ who, link }) => `${who} ${link}`))];
    const alone = (who: string) => sessions.filter((session) => session.startsWith(`${who} `)).length === 1;
    const names = new Map(
      sessions.map((session) => [
        session,
        alone(session.split(' ')[0]!) ? session.split(' ')[0]! : session.replace(' ', ''),
      ]),
    );
    const nameOf = ({ who, link }: Entry) => names.get(`${who} ${link}`)!;
    if (sessions.length > 2) return this.#entries.map((entry) => `${nameOf(entry).padEnd(4)}${entry.text}`).join('\n');

    const table = new Table({
      head: [...names.values()],
      colWidths: sessions.map(() => Math.floor(width / sessions.length)),
      wordWrap: true,
      style: { head: [], border: [], compact: true, 'padding-left': 0 },
      chars: {
        top: '',
        'top-mid': '',
        'top-left': '',
        'top-right': '',
        bottom: '',
        'bottom-mid': '',
        'bottom-left': '',
        'bottom-right': '',
        left: '',
        right: '',
        middle: '| ',
        'left-mid': '',
        'mid-mid': '',
        'right-mid': '',
        mid: '',
      },
    });
    for (const entry of this.#entries)
      table.push([...names.values()].map((name) => (name === nameOf(entry) ? entry.text : '')));
    return table
      .toString()
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n');
  }

  #add(who: string, link: number, text: string): Entry {
    const entry = { who, link, text };
    this.#entries.push(entry);
    return entry;
  }
}
