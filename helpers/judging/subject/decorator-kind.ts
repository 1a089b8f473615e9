/**
 * Which decorators a source file means: the standard ones, called with `(value, context)`, or TypeScript's older ones,
 * called with `(target, key, descriptor)`. A compiler option decides this elsewhere; here both must work, so the source is
 * searched for what only one kind has. Without a sign the answer is the standard one, as in the repository's tsconfig.json.
 * One file must not mix both kinds.
 */
export function decoratorKind(source: string): 'standard' | 'legacy' {
  const code = withoutCommentsAndStrings(source);
  if (decoratesParameter.test(code)) return 'legacy';
  if (/\bClass\w*DecoratorContext\b|\bDecoratorContext\b|\baddInitializer\b/.test(code)) return 'standard';
  if (legacyTypes.test(code) || /['"]reflect-metadata['"]/.test(source)) return 'legacy';
  const uses = [...code.matchAll(/@([A-Za-z_$][\w$]*)(\s*\()?/g)];
  const isLegacy = uses.some(([, name = '', called]) =>
    areLegacy(parametersOf(code, name, called !== undefined) ?? []),
  );
  return isLegacy ? 'legacy' : 'standard';
}

/** `(@Inject() name: Type` or `, @Inject('x') private name`: the standard has no such thing. */
const decoratesParameter =
  /[(,]\s*@[A-Za-z_$][\w$.]*(?:\s*\([^()]*\))?\s+(?!class\b)[A-Za-z_$][\w$]*(?:\s+[\w$]+)*\s*[?:,)=]/;

const legacyTypes =
  /\b(?:Typed)?PropertyDescriptor\b|\b(?:Class|Method|Property|Parameter)Decorator\b|\.getOwnPropertyDescriptor\b/;

/** Comments go, and the content of strings does, so that neither is taken for code. */
function withoutCommentsAndStrings(source: string): string {
  return source.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g,
    (found) => (found.startsWith('/') ? ' ' : "''"),
  );
}

/** The parameters of the decorator `name`, or of the one that the factory `name` returns; undefined if they are not found. */
function parametersOf(code: string, name: string, isFactory: boolean): string[] | undefined {
  const declared = new RegExp(
    `\\bfunction\\s+${escaped(name)}(?![\\w$])[^(]*|\\b(?:const|let|var)\\s+${escaped(name)}(?![\\w$])[^=]*=\\s*(?:function\\b[^(]*)?`,
  ).exec(code);
  const first = declared && listAt(code, declared.index + declared[0].length);
  if (!first || !isFactory) return first?.parameters;
  const body = code.slice(first.end);
  const curried = /^\s*(?::[^={]*)?=>\s*(?=\(|<)/.exec(body);
  const at = curried ? curried[0].length : returnedFunction(body);
  return at === undefined ? undefined : listAt(body, at)?.parameters;
}

/** Where the first function that is returned has its parameters, unless the next top-level declaration comes before it. */
function returnedFunction(body: string): number | undefined {
  const found = /\breturn\s+(?:async\s+)?(?:function\b[^(]*|<[^>]*>\s*)?(?=\()/.exec(body);
  const end = /\n\}/.exec(body)?.index ?? body.length;
  return found && found.index < end ? found.index + found[0].length : undefined;
}

/** The list in parentheses that begins at `at`, cut at its commas. */
function listAt(code: string, at: number): { parameters: string[]; end: number } | undefined {
  const open = /^\s*(?:<[^(]*>\s*)?\(/.exec(code.slice(at));
  if (!open) return undefined;
  const parameters = [''];
  let depth = 0;
  for (let i = at + open[0].length; i < code.length; i++) {
    const char = code[i]!;
    if (depth === 0 && char === ')')
      return { parameters: parameters.map((one) => one.trim()).filter((one) => one !== ''), end: i + 1 };
    if ('([{<'.includes(char)) depth += 1;
    else if (')]}'.includes(char) || (char === '>' && code[i - 1] !== '=')) depth -= 1;
    if (depth === 0 && char === ',') parameters.push('');
    else parameters[parameters.length - 1] += char;
  }
  return undefined;
}

/** A standard decorator takes at most two parameters, and the second one is an object, never a key. */
function areLegacy(parameters: readonly string[]): boolean {
  const [, second = '', third] = parameters.filter((one) => !/^this\b/.test(one));
  return (
    third !== undefined ||
    /^\w*(?:key|prop|property|propertyname)\b/i.test(second) ||
    /:\s*(?:string|symbol|PropertyKey)\b/.test(second)
  );
}

function escaped(name: string): string {
  return name.replaceAll('$', '\\$');
}
