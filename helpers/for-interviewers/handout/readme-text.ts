import type { Kata } from '../../foundations/catalogue/catalogue.ts';

/** The README of a hand-out: what is to be done, in how much time, what is scored, what to send back. */
export function readmeText(katas: readonly Kata[], candidate: string | undefined): string {
  const [first] = katas;
  const minutes = katas.reduce((sum, kata) => sum + kata.minutes, 0);
  const files = katas.map(({ slug }) => `\`katas/${slug}/${slug}.ts\``);
  const sum = katas.length === 1 ? 'one kata' : `${katas.length} katas`;
  const mysql = katas.filter(({ needs }) => needs.includes('mysql')).map(({ title }) => title);
  return `# Backend katas${candidate === undefined ? '' : ` for ${candidate}`}

You have ${sum} and ${minutes} minutes. A kata is a small module that is wrong in a realistic way; its README tells the
situation and numbers the promises that a right module keeps. You mend the module, and the judge tells you, promise by
promise, how far you are.

| kata | level | minutes | edit |
| --- | --- | --- | --- |
${katas.map(({ slug, title, level, minutes: own }, index) => `| [${title}](katas/${slug}/README.md) | ${level} | ${own} | ${files[index]} |`).join('\n')}

## Two commands

\`\`\`sh
npm ci                 # once, before the clock starts
npm test               # the board: which promises hold, and what was seen when one broke
\`\`\`

\`npm test ${first?.slug ?? ''}\` judges one kata, \`npm run watch\` judges again at each save${mysql.length > 0 ? ', `npm run mysql` gives you a database to try statements by hand' : ''}.
You need Node 20 or newer with npm; \`npm ci\` brings the Node that judges.${
    mysql.length > 0
      ? ` ${mysql.join(', ')}: MySQL comes from a Docker engine, from this
machine, or, on Debian and Ubuntu, from packages that are unpacked into a cache folder without root. Run the board once before
you begin: the first run may have to fetch it. \`npm run doctor\` tells what will serve here, and what to do if nothing does.`
      : ' `npm run doctor` tells whether all is there.'
  }
The repository has a dev container, too.

[CANDIDATE.md](CANDIDATE.md) says how to read the board and how to find out more.

## What is scored

Each promise passes or fails; *core* weighs most, then *robust*, then *stretch*. Any right answer passes, whatever its
structure. The board that you see is the one that scores, and there is nothing hidden in it.

## What to send back

${files.length === 1 ? `The file ${files[0]}` : `The files ${files.join(', ')}`}, or this repository as a whole, as a folder, an archive or a git URL. Nothing else is read:
changes to tests, helpers, configuration or packages are not taken along.
`;
}
