import type { Message } from '../rows.ts';
import { conversation, readTurns } from './messages.ts';
import type { Shape } from './shape.ts';
import { skip, textField } from './shape.ts';
import { noteTools } from './trl.ts';

/** {"conversations": [{"from", "value"}], "system"?}: ShareGPT, as FastChat, LLaMA-Factory and axolotl read it. */
export const shareGpt: Shape = {
  kind: 'sharegpt',
  matches: (fields) => 'conversations' in fields || 'conversation' in fields,
  read(fields, note) {
    const messages = readTurns(fields['conversations'] ?? fields['conversation'], note);
    if (!Array.isArray(messages)) return messages;
    const system = textField(fields['system']);
    if (system === undefined) return skip('wrong type in a field');
    if (fields['kto_tag'] === false) return skip('marked as a bad answer');
    noteTools(fields, note);
    const first: Message = { role: 'system', content: system };
    return conversation([first, ...messages]);
  },
};
