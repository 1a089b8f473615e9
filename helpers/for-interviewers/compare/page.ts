import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { html as diffHtml } from 'diff2html';
import { ColorSchemeType } from 'diff2html/lib/types.js';
import { unifiedDiff } from './unified-text.ts';
import type { Version } from './read-versions.ts';

const wholeFile = 100_000;
const diffStyles = fileURLToPath(import.meta.resolve('diff2html/bundles/css/diff2html.min.css'));

const styles = `
:root { color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --quiet: #59636e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --quiet: #9198a1; } }
body { margin: 0 auto; max-width: 110rem; padding: 1rem; color: var(--ink); background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
p, dl { color: var(--quiet); margin: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1ch; }
dd { margin: 0; overflow-wrap: anywhere; }
.d2h-file-header, tr:has(> .d2h-info) { display: none; }
.narrow { display: none; }
.narrow .d2h-code-linenumber { display: none; }
.narrow .d2h-code-line { display: flex; padding: 0 .5em; width: auto; }
.narrow .d2h-code-line-prefix { flex: none; }
.narrow .d2h-code-line-ctn { flex: 1; width: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 60rem) { .narrow { display: block; } .wide { display: none; } }
`;

/** One page without network that shows what changes from each version to the next; for light and dark, narrow and wide. */
export function comparePage(title: string, versions: readonly Version[]): string {
  const sections = versions.slice(1).map((version, index) => section(versions[index]!, version));
  const legend = versions.map(({ role, file }) => `<dt>${role}</dt><dd>${escapeHtml(file)}</dd>`).join('');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${readFileSync(diffStyles, 'utf8')}${styles}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<dl>${legend}</dl>
${sections.join('\n')}
</body>
</html>
`;
}

function section(one: Version, other: Version): string {
  const heading = `<h2>From ${one.role} to ${other.role}</h2>`;
  if (one.text === other.text) return `${heading}\n<p>No difference.</p>`;
  const patch = unifiedDiff(one, other, wholeFile);
  const view = (outputFormat: 'side-by-side' | 'line-by-line') =>
    diffHtml(patch, { outputFormat, drawFileList: false, matching: 'lines', colorScheme: ColorSchemeType.AUTO });
  return `${heading}\n<div class="wide">${view('side-by-side')}</div>\n<div class="narrow">${view('line-by-line')}</div>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
