// The layer rule of docs/architecture.md as an ESLint rule: an import goes to the same layer or to one below it, never up.
import { dirname, relative, resolve, sep } from 'node:path';

/** From the top down. */
export const LAYERS = [
  'app',
  'state',
  'worker',
  'tasks',
  'training',
  'adapters',
  'models',
  'engine',
  'storage',
  'datasets',
];

/** Layers that stand by themselves although there are others below them: the engine knows no model and no storage. */
const ALONE = new Set(['engine', 'datasets']);
/** Beside app: the terminal's way in stands on tasks and holds no logic. */
const HEADLESS_MAY = LAYERS.slice(LAYERS.indexOf('tasks'));
/** The one class that every layer throws. */
const FOR_ALL = ['engine/errors.ts'];

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
 * @param {string} from layer, 'headless', or '' for files directly in src
 * @param {string} to
 */
export function isAllowed(from, to) {
  if (from === to || from === '') return true;
  if (from === 'headless') return HEADLESS_MAY.includes(to);
  if (ALONE.has(from) || !LAYERS.includes(to)) return false;
  return LAYERS.indexOf(to) > LAYERS.indexOf(from);
}

/** @param {string} rel */
function layerOf(rel) {
  return rel.includes('/') ? rel.slice(0, rel.indexOf('/')) : '';
}

/** @type {import('eslint').Rule.RuleModule} */
export const layersRule = {
  meta: {
    type: 'problem',
    docs: { description: 'imports between layers go down only' },
    schema: [
      { type: 'object', properties: { src: { type: 'string' } }, required: ['src'], additionalProperties: false },
    ],
    messages: {
      up: "'{{from}}' must not import from '{{to}}': a layer knows only those below it ({{order}}).",
      unknown: "'{{from}}' is no layer: put the file into one of {{order}}, headless.",
    },
  },
  create(context) {
    const { src } = context.options[0];
    const file = inside(src, context.filename);
    if (file === undefined) return {};
    const from = layerOf(file);
    const order = LAYERS.join(' > ');

    /** @param {any} node @param {unknown} specifier */
    const check = (node, specifier) => {
      if (typeof specifier !== 'string' || !specifier.startsWith('.')) return;
      const target = inside(src, resolve(dirname(context.filename), specifier.replace(/\?.*$/, '')));
      // Shaders and the like lie outside src.
      if (target === undefined || FOR_ALL.includes(target)) return;
      const to = layerOf(target);
      if (!isAllowed(from, to)) context.report({ node, messageId: 'up', data: { from, to: to || target, order } });
    };
    return {
      Program(node) {
        if (from !== '' && from !== 'headless' && !LAYERS.includes(from)) {
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
