/**
 * The small template language of shaders/*.wgsl. One directive a line:
 *
 *   #params                         the `p` of `struct Params` (a uniform, or constants when shapes are baked in)
 *   #step                           the `step` of `struct Step` (scalars that change from step to step)
 *   #buffer x: array<f32>, read     a storage buffer; bindings are numbered in order of appearance
 *   #include NAME KEY=WORD …        another shader of the given library, with defines of its own
 *   #if EXPR / #elif EXPR / #else / #endif
 *   #for i A B / #endfor            repeats the lines between with i = A … B-1
 *
 * In every other line `$name` and `$(expr)` are replaced by a define or loop variable; `$name` within an expression first, so
 * that `$(T$i)` is the define T0 where i is 0. Expressions know integers, names
 * (a missing name is an error), + - * / % == != < <= > >= && || ! and parentheses.
 */
export type DefineValue = number | boolean | string;
export type Defines = Readonly<Record<string, DefineValue>>;

export interface BufferDeclaration {
  name: string;
  type: string;
  access: 'read' | 'read_write';
}

export interface ParamField {
  name: string;
  type: 'u32' | 'i32' | 'f32';
}

export interface ExpandedShader {
  code: string;
  buffers: BufferDeclaration[];
  params: ParamField[];
  usesParams: boolean;
  usesStep: boolean;
}

/** Binding numbers of group 0: the two uniforms first, then storage buffers in order of appearance. */
export const PARAMS_BINDING = 0;
export const STEP_BINDING = 1;
export const FIRST_BUFFER_BINDING = 2;

type Value = number | string;
type Scope = Map<string, Value>;

const TOKEN = /\s*(?:(\d+)|([A-Za-z_]\w*)|(==|!=|<=|>=|&&|\|\||[-+*/%<>!()]))/y;

function evaluate(source: string, scope: Scope): Value {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.trimEnd().length) {
    const match = TOKEN.exec(source);
    if (!match) throw new Error(`cannot read the shader expression “${source}”`);
    tokens.push((match[1] ?? match[2] ?? match[3])!);
  }
  let at = 0;
  const primary = (): Value => {
    const token = tokens[at++];
    if (token === undefined) throw new Error(`the shader expression “${source}” ends early`);
    if (token === '(') {
      const value = binary(0);
      if (tokens[at++] !== ')') throw new Error(`missing ) in the shader expression “${source}”`);
      return value;
    }
    if (token === '!') return Number(!primary());
    if (token === '-') return -Number(primary());
    if (/^\d/.test(token)) return Number(token);
    const value = scope.get(token);
    // A bare word compared with a define stands for itself: FAMILY == cpu.
    if (value === undefined) {
      if (tokens[at - 2] === '==' || tokens[at - 2] === '!=') return token;
      throw new Error(`the shader expression “${source}” uses ${token}, which is not defined`);
    }
    return value;
  };
  const levels: Record<string, (a: Value, b: Value) => Value>[] = [
    { '||': (a, b) => Number(Boolean(a) || Boolean(b)) },
    { '&&': (a, b) => Number(Boolean(a) && Boolean(b)) },
    { '==': (a, b) => Number(a === b), '!=': (a, b) => Number(a !== b) },
    {
      '<': (a, b) => Number(a < b),
      '<=': (a, b) => Number(a <= b),
      '>': (a, b) => Number(a > b),
      '>=': (a, b) => Number(a >= b),
    },
    { '+': (a, b) => Number(a) + Number(b), '-': (a, b) => Number(a) - Number(b) },
    {
      '*': (a, b) => Number(a) * Number(b),
      '/': (a, b) => Math.trunc(Number(a) / Number(b)),
      '%': (a, b) => Number(a) % Number(b),
    },
  ];
  const binary = (level: number): Value => {
    const operators = levels[level];
    if (!operators) return primary();
    let left = binary(level + 1);
    for (let operator = operators[tokens[at] ?? '']; operator; operator = operators[tokens[at] ?? '']) {
      at++;
      left = operator(left, binary(level + 1));
    }
    return left;
  };
  const result = binary(0);
  if (at !== tokens.length) throw new Error(`cannot read the shader expression “${source}”`);
  return result;
}

function named(text: string, scope: Scope): string {
  return text.replace(/\$([A-Za-z_]\w*)/g, (_, name: string) => {
    const value = scope.get(name);
    if (value === undefined) throw new Error(`the shader uses $${name}, which is not defined`);
    return String(value);
  });
}

function substitute(line: string, scope: Scope): string {
  return line
    .replace(/\$\(([^()]*(?:\([^()]*\)[^()]*)*)\)/g, (_, expression: string) =>
      // $(T$i) first becomes the name T0, then its value.
      String(evaluate(named(expression, scope), scope)),
    )
    .replace(/\$([A-Za-z_]\w*)/g, (name) => named(name, scope));
}

/** Finds the line that ends the block opened before `start`, and the #elif/#else lines at its level. */
function blockEnd(lines: string[], start: number): { end: number; branches: number[] } {
  let depth = 0;
  const branches: number[] = [];
  for (let i = start; i < lines.length; i++) {
    const directive = /^\s*#(\w+)/.exec(lines[i]!)?.[1];
    if (directive === 'if' || directive === 'for') depth++;
    else if (directive === 'endif' || directive === 'endfor') {
      if (depth === 0) return { end: i, branches };
      depth--;
    } else if ((directive === 'elif' || directive === 'else') && depth === 0) branches.push(i);
  }
  throw new Error('a shader block is never closed');
}

function expandLines(lines: string[], scope: Scope, library: Readonly<Record<string, string>>, out: string[]): void {
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    const match = /^\s*#(\w+)\s*(.*?)\s*$/.exec(line);
    if (!match) {
      out.push(substitute(line, scope));
      continue;
    }
    const [, directive, rest] = match as unknown as [string, string, string];
    if (directive === 'if') {
      const { end, branches } = blockEnd(lines, i + 1);
      const starts = [i, ...branches];
      const chosen = starts.findIndex((start) => {
        const [, kind, condition] = /^\s*#(\w+)\s*(.*?)\s*$/.exec(lines[start]!)! as unknown as [
          string,
          string,
          string,
        ];
        return kind === 'else' || Boolean(evaluate(condition, scope));
      });
      if (chosen >= 0) expandLines(lines.slice(starts[chosen]! + 1, starts[chosen + 1] ?? end), scope, library, out);
      i = end;
    } else if (directive === 'for') {
      const { end } = blockEnd(lines, i + 1);
      const [, name, from, to] = (/^(\w+)\s+(\S+)\s+(\S+)$/.exec(rest) ?? []) as string[];
      if (!name || !from || !to) throw new Error(`cannot read the shader line “${line.trim()}”`);
      const body = lines.slice(i + 1, end);
      const last = Number(evaluate(to.replace(/^\$/, ''), scope));
      for (let value = Number(evaluate(from.replace(/^\$/, ''), scope)); value < last; value++) {
        expandLines(body, new Map(scope).set(name, value), library, out);
      }
      i = end;
    } else if (directive === 'include') {
      const [name = '', ...pairs] = substitute(rest, scope).split(/\s+/);
      const text = library[name];
      if (text === undefined) throw new Error(`the shader includes ${name}, which is not in the library`);
      const inner = new Map(scope);
      for (const pair of pairs) {
        const [, key, word] = /^(\w+)=([\w.]+)$/.exec(pair) ?? [];
        if (!key || !word) throw new Error(`cannot read the shader line “${line.trim()}”`);
        inner.set(key, word);
      }
      expandLines(text.split('\n'), inner, library, out);
    } else if (directive === 'params' || directive === 'step' || directive === 'buffer') {
      out.push(substitute(line.trim(), scope));
    } else throw new Error(`unknown shader directive #${directive}`);
  }
}

const STEP_STRUCT = `struct Step {
  learning_rate: f32, bias_correction1: f32, bias_correction2: f32, loss_scale: f32,
  strength: f32, accumulate: u32, seed: u32, pad: u32,
}`;

/** Fields of the `Step` uniform, in order; `loss_scale` is 1 / (label tokens of the optimiser step). */
export const STEP_FIELDS: readonly ParamField[] = [...STEP_STRUCT.matchAll(/(\w+): (f32|u32)/g)].map((match) => ({
  name: match[1]!,
  type: match[2] as 'f32' | 'u32',
}));

/** What a run uses that neither learns nor scales anything. */
export const IDLE_STEP = {
  learning_rate: 0,
  bias_correction1: 1,
  bias_correction2: 1,
  loss_scale: 1,
  strength: 1,
  accumulate: 0,
  seed: 0,
  pad: 0,
};

/**
 * Expands a shader. Numeric and boolean defines are not declared in the WGSL by themselves: write `$NAME`.
 * @param baked values for the fields of `struct Params`: given, `p` becomes a constant instead of a uniform.
 */
export function expandShader(
  source: string,
  defines: Defines,
  library: Readonly<Record<string, string>> = {},
  baked?: Readonly<Record<string, number>>,
): ExpandedShader {
  const scope: Scope = new Map(
    Object.entries(defines).map(([name, value]) => [name, typeof value === 'boolean' ? Number(value) : value]),
  );
  const lines: string[] = [];
  expandLines(source.split('\n'), scope, library, lines);
  const body = lines.join('\n');
  const struct = /struct\s+Params\s*\{([^}]*)\}/.exec(body)?.[1] ?? '';
  const params = [...struct.replace(/\/\/.*$/gm, '').matchAll(/(\w+)\s*:\s*(u32|i32|f32)/g)].map((match) => ({
    name: match[1]!,
    type: match[2] as ParamField['type'],
  }));
  const buffers: BufferDeclaration[] = [];
  let usesParams = false;
  let usesStep = false;
  const code = lines.map((line) => {
    if (line.startsWith('#params')) {
      if (params.length === 0) throw new Error('#params needs a struct Params');
      if (baked) {
        return `const p = Params(${params.map((field) => literal(baked[field.name], field)).join(', ')});`;
      }
      usesParams = true;
      return `@group(0) @binding(${PARAMS_BINDING}) var<uniform> p: Params;`;
    }
    if (line.startsWith('#step')) {
      usesStep = true;
      return `${STEP_STRUCT}\n@group(0) @binding(${STEP_BINDING}) var<uniform> step: Step;`;
    }
    if (line.startsWith('#buffer')) {
      const match = /^#buffer\s+(\w+)\s*:\s*(.+?)\s*,\s*(read|read_write)$/.exec(line);
      if (!match) throw new Error(`cannot read the shader line “${line}”`);
      const binding = FIRST_BUFFER_BINDING + buffers.length;
      buffers.push({ name: match[1]!, type: match[2]!, access: match[3] as BufferDeclaration['access'] });
      return `@group(0) @binding(${binding}) var<storage, ${match[3]!}> ${match[1]!}: ${match[2]!};`;
    }
    return line;
  });
  return { code: code.join('\n'), buffers, params, usesParams, usesStep };
}

function literal(value: number | undefined, field: ParamField): string {
  if (value === undefined) throw new Error(`the shader parameter ${field.name} has no value`);
  if (field.type === 'u32') return `${value}u`;
  if (field.type === 'i32') return `${value}i`;
  const text = String(value);
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
}

/** Writes scalar fields one after the other, 4 bytes each, as a uniform struct of scalars lies in memory. */
export function packFields(
  fields: readonly ParamField[],
  values: Readonly<Record<string, number>>,
  view: DataView,
  offset = 0,
): void {
  fields.forEach((field, i) => {
    const value = values[field.name];
    if (value === undefined) throw new Error(`the shader parameter ${field.name} has no value`);
    const at = offset + 4 * i;
    if (field.type === 'f32') view.setFloat32(at, value, true);
    else if (field.type === 'u32') view.setUint32(at, value, true);
    else view.setInt32(at, value, true);
  });
}
