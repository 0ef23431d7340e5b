// The layer rule as an ESLint rule: a layer imports from itself and from those it knows. docs/architecture.md holds the same table in
// its column "knows"; a test compares the two.
import { dirname, relative, resolve, sep } from 'node:path';

/** What each layer knows, from the top down. @type {Readonly<Record<string, readonly string[]>>} */
export const KNOWS = {
  app: ['state', 'worker', 'tasks', 'training', 'adapters', 'storage', 'datasets', 'common'],
  state: ['worker', 'tasks', 'training', 'adapters', 'storage', 'datasets', 'common'],
  headless: ['tasks', 'training', 'adapters', 'models', 'engine', 'datasets', 'common'],
  worker: ['tasks', 'training', 'adapters', 'models', 'engine', 'storage', 'datasets', 'common'],
  tasks: ['training', 'adapters', 'models', 'engine', 'datasets', 'common'],
  training: ['adapters', 'models', 'engine', 'common'],
  adapters: ['models', 'engine', 'common'],
  models: ['engine', 'datasets', 'common'],
  engine: ['common'],
  storage: ['datasets', 'common'],
  datasets: ['common'],
  common: [],
};

export const LAYERS = Object.keys(KNOWS);

/**
 * @param {string} src the src folder
 * @param {string} path
 * @returns {string | undefined} the path inside src, with slashes
 */
function inside(src, path) {
  const rel = relative(src, path).split(sep).join('/');
  return rel.startsWith('..') ? undefined : rel;
}

/**
 * @param {string} from layer, or '' for files directly in src
 * @param {string} to
 */
export function isAllowed(from, to) {
  return from === to || from === '' || (KNOWS[from]?.includes(to) ?? false);
}

/** @param {string} rel */
function layerOf(rel) {
  return rel.includes('/') ? rel.slice(0, rel.indexOf('/')) : '';
}

/** @type {import('eslint').Rule.RuleModule} */
export const layersRule = {
  meta: {
    type: 'problem',
    docs: { description: 'a layer imports only from those it knows' },
    schema: [
      { type: 'object', properties: { src: { type: 'string' } }, required: ['src'], additionalProperties: false },
    ],
    messages: {
      up: "'{{from}}' must not import from '{{to}}': it knows {{knows}}.",
      unknown: "'{{from}}' is no layer: put the file into one of {{order}}.",
    },
  },
  create(context) {
    const { src } = context.options[0];
    const file = inside(src, context.filename);
    if (file === undefined) return {};
    const from = layerOf(file);
    const order = LAYERS.join(', ');
    const knows = KNOWS[from]?.join(', ') || 'no other';

    /** @param {any} node @param {unknown} specifier */
    const check = (node, specifier) => {
      if (typeof specifier !== 'string' || !specifier.startsWith('.')) return;
      const target = inside(src, resolve(dirname(context.filename), specifier.replace(/\?.*$/, '')));
      // Shaders and the like lie outside src.
      if (target === undefined) return;
      const to = layerOf(target);
      if (!isAllowed(from, to)) context.report({ node, messageId: 'up', data: { from, to: to || target, knows } });
    };
    return {
      Program(node) {
        if (from !== '' && !LAYERS.includes(from)) {
          context.report({ node, messageId: 'unknown', data: { from, order } });
        }
      },
      ImportDeclaration: (node) => check(node, node.source.value),
      ExportNamedDeclaration: (node) => check(node, node.source?.value),
      ExportAllDeclaration: (node) => check(node, node.source.value),
      ImportExpression: (node) => check(node, node.source.type === 'Literal' ? node.source.value : undefined),
      /** import('./x.ts').T in a type. @param {any} node */
      TSImportType: (node) => check(node, node.source?.value ?? node.argument?.literal?.value),
      /** new URL('../worker/main.ts', import.meta.url), as workers are named. @param {any} node */
      'NewExpression[callee.name="URL"]': (node) => check(node, node.arguments[0]?.value),
    };
  },
};
