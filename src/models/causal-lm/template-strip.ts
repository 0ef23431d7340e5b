/** The template library's strip, lstrip and rstrip pass over which characters are to go; templates rely on it. */
const STRIPPERS: Readonly<Record<string, (text: string, letters: ReadonlySet<string>) => string>> = {
  strip: (text, letters) => STRIPPERS['lstrip']!(STRIPPERS['rstrip']!(text, letters), letters),
  lstrip: (text, letters) => {
    let start = 0;
    while (start < text.length && letters.has(text.charAt(start))) start++;
    return text.slice(start);
  },
  rstrip: (text, letters) => {
    let end = text.length;
    while (end > 0 && letters.has(text.charAt(end - 1))) end--;
    return text.slice(0, end);
  },
};
const stripName = (method: string): string => `python_${method}`;
export const STRIP_FUNCTIONS = Object.fromEntries(
  Object.entries(STRIPPERS).map(([method, run]) => [
    stripName(method),
    (text: unknown, letters: unknown): string => {
      if (typeof text !== 'string' || typeof letters !== 'string') throw new Error(`${method} needs text`);
      return run(text, new Set(letters.split('')));
    },
  ]),
);

/** Turns x.strip('letters') into python_strip(x, 'letters') throughout a parsed template. */
export function callOwnStrip(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  for (const part of Object.values(node)) callOwnStrip(part);
  const call = node as { type?: string; callee?: unknown; args?: unknown[] };
  const callee = call.callee as Partial<MethodCallee> | undefined;
  const method = callee?.property?.value;
  if (call.type !== 'CallExpression' || callee?.type !== 'MemberExpression' || callee.computed) return;
  if (call.args?.length !== 1 || typeof method !== 'string' || !Object.hasOwn(STRIPPERS, method)) return;
  call.args = [callee.object, ...call.args];
  // The property is an identifier node: under its new name it stands for the function.
  call.callee = Object.assign(callee.property!, { value: stripName(method) });
}

interface MethodCallee {
  type: string;
  object: unknown;
  property: { value: unknown };
  computed: boolean;
}
