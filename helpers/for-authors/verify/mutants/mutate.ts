import { parseSync } from 'oxc-parser';
import { UserError } from '../../../foundations/command-line/user-error.ts';

/** A module with one small mistake put into it. */
export interface Mutant {
  readonly operator: 'condition' | 'boundary' | 'arithmetic' | 'await' | 'statement' | 'block' | 'literal';
  /** Where the change begins, from 1. */
  readonly line: number;
  /** That line before and after, without the space around it. */
  readonly before: string;
  readonly after: string;
  /** The whole module. */
  readonly text: string;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

type Change = readonly [operator: Mutant['operator'], node: Pick<Node, 'start' | 'end'>, replacement: string];

const otherOperator: Readonly<Record<string, readonly [Mutant['operator'], string]>> = {
  '<': ['boundary', '<='],
  '<=': ['boundary', '<'],
  '>': ['boundary', '>='],
  '>=': ['boundary', '>'],
  '===': ['condition', '!=='],
  '!==': ['condition', '==='],
  '&&': ['condition', '||'],
  '||': ['condition', '&&'],
  '+': ['arithmetic', '-'],
  '-': ['arithmetic', '+'],
  '*': ['arithmetic', '/'],
  '/': ['arithmetic', '*'],
  '%': ['arithmetic', '*'],
  '+=': ['arithmetic', '-='],
  '-=': ['arithmetic', '+='],
  '++': ['arithmetic', '--'],
  '--': ['arithmetic', '++'],
};
const otherLiteral = new Map<unknown, string>([
  [true, 'false'],
  [false, 'true'],
  [0, '1'],
  [1, '0'],
  ['', "'mutant'"],
]);
const conditional = ['IfStatement', 'WhileStatement', 'DoWhileStatement', 'ForStatement', 'ConditionalExpression'];
const droppable = ['ExpressionStatement', 'ReturnStatement', 'ThrowStatement', 'BreakStatement', 'ContinueStatement'];
/** What stands for types only; the others that begin with TS have an expression in them. */
const withExpression = /^TS(?:As|Satisfies|NonNull|Instantiation)|^TS(?:Enum|ParameterProperty|ExportAssignment)/;

/**
 * All mutants of a module, in the order of their places.
 * @throws UserError when the module cannot be parsed
 */
export function mutantsOf(text: string, file: string): Mutant[] {
  const { program, errors } = parseSync(file, text);
  if (errors.length > 0) throw new UserError(`${file} cannot be parsed: ${errors[0]!.message}`);
  const changes: Change[] = [];
  walk(program as unknown as Node, (node) => changes.push(...changesOf(node, text)));
  return changes
    .toSorted(([, one], [, other]) => one.start - other.start || one.end - other.end)
    .map(([operator, { start, end }, replacement]) => {
      const mutated = text.slice(0, start) + replacement + text.slice(end);
      const line = text.slice(0, start).split('\n').length;
      const lineOf = (of: string) => of.split('\n')[line - 1]!.trim();
      return { operator, line, before: lineOf(text), after: lineOf(mutated), text: mutated };
    });
}

/** At most `limit` of the mutants, spread evenly over the module, always the same ones. */
export function sample<One>(all: readonly One[], limit: number): One[] {
  if (limit >= all.length) return [...all];
  return Array.from({ length: limit }, (_, index) => all[Math.floor(((index + 0.5) * all.length) / limit)]!);
}

function changesOf(node: Node, text: string): Change[] {
  const source = (part: Pick<Node, 'start' | 'end'>) => text.slice(part.start, part.end);
  const test = node['test'] as Node | null | undefined;
  if (conditional.includes(node.type) && test) {
    // A comparison or a connection of its own has its operator changed below.
    const isOwn = test.type === 'BinaryExpression' && /^[!=]==$/.test(test['operator'] as string);
    return isOwn ? [] : [['condition', test, `!(${source(test)})`]];
  }
  switch (node.type) {
    case 'BinaryExpression':
    case 'LogicalExpression':
    case 'AssignmentExpression':
      return operatorChange(node, text);
    case 'UpdateExpression': {
      const [operator, other] = otherOperator[node['operator'] as string]!;
      const at = node['prefix'] === true ? node.start : node.end - 2;
      return [[operator, { start: at, end: at + 2 }, other]];
    }
    case 'AwaitExpression':
      return [['await', node, source(node['argument'] as Node)]];
    case 'BlockStatement':
    case 'FunctionBody': {
      const body = node['body'] as Node[];
      // With one statement only, dropping that is the same.
      const isSame = body.length === 0 || (body.length === 1 && isDroppable(body[0]!));
      return isSame ? [] : [['block', node, '{}']];
    }
    case 'Literal': {
      const other = otherLiteral.get(node['value']);
      return other === undefined ? [] : [['literal', node, other]];
    }
    default:
      return isDroppable(node) ? [['statement', node, ';']] : [];
  }
}

function operatorChange(node: Node, text: string): Change[] {
  const [left, right] = [node['left'] as Node, node['right'] as Node];
  const sign = node['operator'] as string;
  const isText = [left, right].some(
    ({ type, value }) => type === 'TemplateLiteral' || (type === 'Literal' && typeof value === 'string'),
  );
  const found = otherOperator[sign];
  if (!found || (isText && found[0] === 'arithmetic')) return [];
  // Between the two there are brackets and comments at most.
  const at = text.indexOf(sign, left.end);
  return at === -1 || at >= right.start ? [] : [[found[0], { start: at, end: at + sign.length }, found[1]]];
}

function isDroppable(node: Node): boolean {
  return droppable.includes(node.type) && typeof node['directive'] !== 'string';
}

function walk(node: Node, visit: (node: Node) => void): void {
  if (node.type.startsWith('TS') && !withExpression.test(node.type)) return;
  if (node.type === 'ImportDeclaration') return;
  visit(node);
  for (const [field, value] of Object.entries(node)) {
    if (field === 'key' && node['computed'] !== true) continue;
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child === 'object' && child !== null && typeof (child as Node).type === 'string')
        walk(child as Node, visit);
    }
  }
}
