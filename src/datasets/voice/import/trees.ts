/** Trees of messages, as OpenAssistant publishes them: each answers its parent, and answers of one parent are ranked. */
import type { SkipReason } from '../rows.ts';
import type { Fields } from './shape.ts';
import { isFields } from './shape.ts';

/** A message of a tree and what answers it. */
export interface TreeNode {
  fields: Fields;
  line: number;
  replies: TreeNode[];
}

const idOf = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;

/** Whether a record is one message of a tree, its parent named. */
export const isTreeMessage = (fields: Fields): boolean =>
  idOf(fields['message_id']) !== undefined && 'parent_id' in fields && typeof fields['text'] === 'string';

/** A whole tree in one record: {"prompt": {"text", "role", "replies": [...]}}; undefined elsewhere. */
export function nestedTree(fields: Fields, line: number): TreeNode | undefined {
  const root = fields['prompt'];
  if (!isFields(root) || !Array.isArray(root['replies'])) return undefined;
  const node = (own: Fields): TreeNode => ({
    fields: own,
    line,
    replies: Array.isArray(own['replies']) ? own['replies'].filter(isFields).map(node) : [],
  });
  return node(root);
}

/** The trees that these messages make, in the order of their roots; one whose parent is not there is a root. */
export function treesOf(messages: readonly { fields: Fields; line: number }[]): TreeNode[] {
  const nodes = messages.map((message): TreeNode => ({ ...message, replies: [] }));
  const byId = new Map(nodes.map((node) => [idOf(node.fields['message_id']), node]));
  return nodes.filter((node) => {
    const parent = byId.get(idOf(node.fields['parent_id']) ?? '');
    if (parent === undefined || parent === node) return true;
    parent.replies.push(node);
    return false;
  });
}

const rankOf = ({ fields }: TreeNode): number => (typeof fields['rank'] === 'number' ? fields['rank'] : Infinity);

/** The best-ranked way through a tree; `onSkip` is told of every message beside it. */
export function bestPath(root: TreeNode, onSkip: (node: TreeNode, reason: SkipReason) => void): TreeNode[] {
  const skipAll = (node: TreeNode, reason: SkipReason): void => {
    const waiting = [node];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      onSkip(next, next.fields['deleted'] === true ? 'deleted' : reason);
      waiting.push(...next.replies);
    }
  };
  const path: TreeNode[] = [];
  let answers = [root];
  while (answers.length > 0) {
    const kept = answers.filter(({ fields }) => fields['deleted'] !== true);
    const best = kept.reduce<TreeNode | undefined>(
      (most, node) => (most && rankOf(most) <= rankOf(node) ? most : node),
      undefined,
    );
    for (const node of answers) {
      if (node !== best) skipAll(node, kept.includes(node) ? 'another answer ranks higher' : 'deleted');
    }
    if (best) path.push(best);
    answers = best?.replies ?? [];
  }
  return path;
}
