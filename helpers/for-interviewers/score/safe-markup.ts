/** A text as HTML or SVG. Colons are escaped too, so that the page can be printed in a log in which a runner looks for commands. */
export function safe(text: string): string {
  return text
    .replace(/[&<>"'`]/g, (char) => `&#${char.charCodeAt(0)};`)
    .replaceAll('::', '&#58;&#58;')
    .replaceAll('##[', '&#35;&#35;[');
}
