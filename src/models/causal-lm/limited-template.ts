import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { UserError } from '../../common/errors.ts';

/** The library exports no types of its nodes and values; these are the fields that are read here. */
interface Node {
  type: string;
  [field: string]: unknown;
}
type Value = ReturnType<Interpreter['evaluate']>;

/** Steps that a round of a loop counts for: the library makes a scope and a dozen values for each. */
const ROUND = 16;

/** How deep expressions, loops and macros may lie in one another. */
const MAX_DEPTH = 400;

const endless = (): UserError =>
  new UserError("The base's chat template does not end: choose another version of the model.");
const tooLong = (): UserError =>
  new UserError("The base's chat template writes too much: choose another version of the model.");

/** What one rendering may take. */
interface Limits {
  /** Nodes evaluated, rounds of loops, items looked at. */
  steps: number;
  /** Characters of all texts that an expression gives, together. */
  characters: number;
  /** Characters of one text. */
  longest: number;
}

/** Far more than any template takes for so much content: about a second of work at the most for a short conversation. */
function limitsFor(items: unknown): Limits {
  let entries = 0;
  let characters = 0;
  const count = (value: unknown): void => {
    if (typeof value === 'string') characters += value.length;
    else if (typeof value === 'object' && value !== null) {
      entries++;
      Object.values(value).forEach(count);
    }
  };
  count(items);
  return {
    steps: 2 ** 20 + 2 ** 15 * entries + characters,
    characters: 2 ** 26 + 2 ** 8 * characters,
    longest: 2 ** 20 + 16 * characters,
  };
}

/** Stands for an expression whose value is known. */
class Given {
  readonly type = 'Given';
  readonly result: Value;
  constructor(result: Value) {
    this.result = result;
  }
}

/** What a filter or method is called with. */
interface Call {
  of: Value;
  name: string;
  args: readonly Value[];
  named: ReadonlyMap<string, Value>;
}

/** Filters whose work does not depend on what is in their operand. */
const CHEAP = new Set(['default', 'first', 'last', 'length', 'list', 'safe']);

/**
 * Runs a template from an untrusted folder within limits. Operands are evaluated before the operation that takes them, so that
 * it is refused by their sizes before it makes something large.
 */
class LimitedInterpreter extends Interpreter {
  readonly #limits: Limits;
  readonly #marks: Marks;
  /** Built-in functions by what they were taken from. */
  readonly #methods = new WeakMap<Value, { of: Value; name: string }>();
  #steps = 0;
  #characters = 0;
  #depth = 0;

  constructor(environment: Environment, limits: Limits, marks: Marks) {
    super(environment);
    this.#limits = limits;
    this.#marks = marks;
  }

  spend(steps: number): void {
    this.#steps += steps;
    if (!(this.#steps <= this.#limits.steps)) throw endless();
  }

  #write(characters: number): void {
    if (!(characters <= this.#limits.longest)) throw tooLong();
  }

  override evaluate(statement: Node | undefined, environment: Environment): Value {
    if (!statement) return super.evaluate(statement, environment);
    if (statement instanceof Given) return statement.result;
    if (this.#depth >= MAX_DEPTH) throw endless();
    this.#depth++;
    try {
      this.spend(this.#marks.macros.get(statement) ?? 1);
      const result = this.#apply(statement, environment);
      this.#account(statement, result);
      return result;
    } finally {
      this.#depth--;
    }
  }

  #account(node: Node, result: Value): void {
    const content: unknown = result.value;
    if (typeof content === 'string') {
      this.#write(content.length);
      this.#characters += content.length;
      if (this.#characters > this.#limits.characters) throw tooLong();
    } else if (Array.isArray(content) || content instanceof Map) {
      const items = Array.isArray(content) ? content.length : content.size;
      this.spend(this.#marks.iterated.has(node) ? ROUND * items : items >> 4);
      if (this.#marks.printed.has(node)) this.#measure(result);
    }
  }

  #apply(node: Node, environment: Environment): Value {
    switch (node.type) {
      case 'BinaryExpression':
        return this.#binary(node, environment);
      case 'FilterExpression':
        return this.#filtered(this.evaluate(node['operand'] as Node, environment), node['filter'] as Node, environment);
      case 'FilterStatement': {
        const body = super.evaluate({ type: 'Program', body: node['body'] } as Node, environment);
        return this.#filtered(body, node['filter'] as Node, environment);
      }
      case 'MemberExpression':
        return this.#member(node, environment);
      case 'CallExpression':
        return super.evaluate(this.#called(node, environment), environment);
      case 'CallStatement':
        return super.evaluate(changed(node, { call: this.#called(node['call'] as Node, environment) }), environment);
      default:
        return super.evaluate(node, environment);
    }
  }

  #binary(node: Node, environment: Environment): Value {
    const operator = (node['operator'] as { value: string }).value;
    if (operator === 'and' || operator === 'or') return super.evaluate(node, environment);
    const left = this.evaluate(node['left'] as Node, environment);
    const right = this.evaluate(node['right'] as Node, environment);
    const [a, b] = [isList(left), isList(right)];
    if (operator === 'in' || operator === 'not in') {
      // Each item is compared with the text.
      if (b) this.spend(lengthOf(right) * (1 + (lengthOf(left) >> 6)));
    } else if (a && b) this.spend(lengthOf(left) + lengthOf(right));
    else if (a || b || operator === '~') this.#write(this.#measure(left) + this.#measure(right));
    return super.evaluate(changed(node, { left: new Given(left), right: new Given(right) }), environment);
  }

  #filtered(of: Value, filter: Node, environment: Environment): Value {
    const isCall = filter.type === 'CallExpression';
    const { nodes, args, named } = this.#arguments(isCall ? (filter['args'] as Node[]) : [], environment);
    const name = String((isCall ? (filter['callee'] as Node) : filter)['value']);
    if (!CHEAP.has(name)) this.#check({ of, name, args, named });
    const given = { type: 'FilterExpression', operand: new Given(of) };
    return super.evaluate({ ...given, filter: isCall ? { ...filter, args: nodes } : filter } as Node, environment);
  }

  #member(node: Node, environment: Environment): Value {
    const of = this.evaluate(node['object'] as Node, environment);
    const property = node['property'] as Node;
    const isComputed = node['computed'] === true && property.type !== 'SliceExpression';
    const given = isComputed ? new Given(this.evaluate(property, environment)) : property;
    const result = super.evaluate(changed(node, { object: new Given(of), property: given }), environment);
    if (typeof result.value === 'function' && !this.#methods.has(result)) {
      const name = given instanceof Given ? given.result.value : property['value'];
      this.#methods.set(result, { of, name: String(name) });
    }
    return result;
  }

  /** A call with everything evaluated but the call itself. */
  #called(node: Node, environment: Environment): Node {
    const { nodes, args, named } = this.#arguments(node['args'] as Node[], environment);
    const callee = this.evaluate(node['callee'] as Node, environment);
    const method = this.#methods.get(callee);
    if (method) this.#check({ ...method, args, named });
    return { ...node, callee: new Given(callee), args: nodes };
  }

  #arguments(given: readonly Node[], environment: Environment): Pick<Call, 'args' | 'named'> & { nodes: Node[] } {
    const args: Value[] = [];
    const named = new Map<string, Value>();
    const nodes = given.map((node): Node => {
      const known = (field: string): Node => {
        const value = this.evaluate((field === '' ? node : node[field]) as Node, environment);
        if (node.type === 'KeywordArgumentExpression') named.set(String((node['key'] as Node)['value']), value);
        else if (node.type === 'KeywordSpreadExpression' && value.value instanceof Map)
          for (const [key, item] of value.value) named.set(key, item);
        else if (node.type === 'SpreadExpression' && isList(value)) args.push(...(value.value as Value[]));
        else args.push(value);
        // Some filters ask for literals.
        return node.type === 'StringLiteral' ? node : (new Given(value) as unknown as Node);
      };
      switch (node.type) {
        case 'KeywordArgumentExpression':
          return { ...node, value: known('value') };
        case 'SpreadExpression':
        case 'KeywordSpreadExpression':
          return { ...node, argument: known('argument') };
        default:
          return known('');
      }
    });
    return { nodes, args, named };
  }

  /** Refuses a filter or method that would take or make too much. */
  #check({ of, name, args, named }: Call): void {
    const text = typeof of.value === 'string' ? of.value : undefined;
    const wordOf = (value: Value | undefined): string => (typeof value?.value === 'string' ? value.value : '');
    const indent = Number((args[0] ?? named.get(name === 'indent' ? 'width' : 'indent'))?.value ?? 4);
    for (const value of args) if (isList(value)) this.spend(this.#measure(value) >> 6);
    if (text === undefined) {
      const separator = name === 'join' ? wordOf(args[0] ?? named.get('separator')).length : 0;
      const separators = lengthOf(named.get('separators')) > 0 ? this.#measure(named.get('separators')!) : 0;
      const written = this.#measure(
        of,
        2 + separator + separators,
        name === 'tojson' && named.has('indent') ? indent : 0,
      );
      const compared = lengthOf(of) + (written >> 6);
      const word = lengthOf(args.at(-1)) >> 6;
      this.spend(name.endsWith('sort') ? compared * 2 * Math.ceil(Math.log2(lengthOf(of) + 2)) : compared * (1 + word));
      return;
    }
    this.spend(text.length >> 6);
    if (name === 'tojson') this.#write(6 * text.length);
    if (name === 'join') this.#write(text.length * (1 + wordOf(args[0] ?? named.get('separator')).length));
    if (name === 'indent') this.#write(text.length + occurrences(text, '\n') * indent);
    if (name === 'split') this.spend(args[0] ? occurrences(text, wordOf(args[0])) : text.length >> 1);
    if (name === 'replace') {
      const [old, other] = [wordOf(args[0]), wordOf(args[1])];
      this.#write(text.length + occurrences(text, old) * other.length);
    }
  }

  /**
   * Characters that a value takes where it is written out, at most; texts as JSON have them where they lie in another value.
   * Throws where they are too many, before as many were looked at: a list may hold another many times over.
   * @param between characters around each entry
   * @param indent spaces for each level
   */
  #measure(value: Value, between = 4, indent = 0): number {
    let total = 0;
    const add = (part: Value | undefined, depth: number): void => {
      const content: unknown = part?.value;
      if (depth > MAX_DEPTH) throw endless();
      if (typeof content === 'string') total += (depth > 0 ? 6 : 1) * content.length;
      else if (Array.isArray(content)) {
        for (const item of content as Value[]) enter(item, depth);
      } else if (content instanceof Map) {
        for (const [key, item] of content as Map<string, Value>) {
          total += 6 * key.length;
          enter(item, depth);
        }
      } else total += 24;
    };
    const enter = (item: Value, depth: number): void => {
      total += between + indent * (depth + 2);
      this.#write(total);
      add(item, depth + 1);
    };
    add(value, 0);
    this.#write(total);
    return total;
  }
}

const changed = (node: Node, fields: Readonly<Record<string, unknown>>): Node => ({ ...node, ...fields });

const isList = (value: Value): boolean => Array.isArray(value.value);

/** Characters, items or entries. */
function lengthOf(value: Value | undefined): number {
  const content: unknown = value?.value;
  if (content instanceof Map) return content.size;
  return typeof content === 'string' || Array.isArray(content) ? content.length : 0;
}

/** How often a word stands in a text; before, between and behind all characters where it is empty. */
function occurrences(text: string, word: string): number {
  if (word === '') return text.length + 1;
  let count = 0;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) count++;
  return count;
}

/** What is known of a template's nodes before it runs. */
interface Marks {
  /** Statements of blocks: what they give is written. */
  printed: WeakSet<object>;
  /** What loops run over. */
  iterated: WeakSet<object>;
  /** Nodes inside each macro and call block, which are looked through whenever it is defined. */
  macros: WeakMap<object, number>;
}

const BLOCKS = ['body', 'alternate', 'defaultBlock'];

function markNodes(program: object): Marks {
  const marks: Marks = { printed: new WeakSet(), iterated: new WeakSet(), macros: new WeakMap() };
  const walk = (part: unknown): number => {
    if (typeof part !== 'object' || part === null) return 0;
    if (part instanceof Map) return walk([...part]);
    let nodes = 1;
    for (const [field, content] of Object.entries(part)) {
      nodes += walk(content);
      if (BLOCKS.includes(field) && Array.isArray(content))
        for (const statement of content as object[]) marks.printed.add(statement);
    }
    const { type, iterable } = part as { type?: string; iterable?: { type: string; lhs?: object } };
    if (type === 'For' && iterable)
      marks.iterated.add(iterable.type === 'SelectExpression' ? (iterable.lhs ?? iterable) : iterable);
    if (type === 'Macro' || type === 'CallStatement') marks.macros.set(part, nodes);
    return nodes;
  };
  walk(program);
  return marks;
}

/** range() as Python has it, of a length that is known before it is made. */
function range(interpreter: LimitedInterpreter, given: readonly unknown[]): number[] {
  const [first, second, step] = given.map(Number);
  const [start, stop] = second === undefined ? [0, first ?? 0] : [first!, second];
  if (step === 0) throw new Error('range() step must not be zero');
  const length = Math.max(0, Math.ceil((stop - start) / (step ?? 1))) || 0;
  interpreter.spend(length);
  return Array.from({ length }, (_, i) => start + i * (step ?? 1));
}

/** The library's own, which it does not export. */
const strftimeNow = (format: unknown): string =>
  new Template('{{ strftime_now(format) }}').render({ format: String(format).slice(0, 200) });

/** A Jinja template that always ends and never grows large, whatever it says. */
export class LimitedTemplate {
  readonly #template: Template;
  readonly #marks: Marks;

  /** Throws where the source is no template. @param change is given the parsed template before it is used */
  constructor(source: string, change: (program: object) => void) {
    this.#template = new Template(source);
    change(this.#template.parsed);
    this.#marks = markNodes(this.#template.parsed);
  }

  /** Throws UserError where that takes too long or writes too much, and Error where the template itself refuses. */
  render(items: Readonly<Record<string, unknown>>): string {
    const environment = new Environment();
    const interpreter = new LimitedInterpreter(environment, limitsFor(items), this.#marks);
    const globals = {
      false: false,
      true: true,
      none: null,
      False: false,
      True: true,
      None: null,
      raise_exception: (message: string) => {
        throw new Error(message);
      },
      range: (...given: unknown[]) => range(interpreter, given),
      strftime_now: strftimeNow,
    };
    for (const [name, value] of Object.entries({ ...globals, ...items })) environment.set(name, value);
    try {
      return String(interpreter.run(this.#template.parsed).value);
    } catch (error) {
      // The engine's own limits: the stack's depth, the length of a string.
      if (error instanceof RangeError) throw endless();
      throw error;
    }
  }
}
