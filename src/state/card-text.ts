import type { JsonObject, RunRecord } from '../storage/records.ts';
import { formatCount, formatLoss } from './format.ts';

/** Text from the person, on one line and without what Markdown would take for its own. */
export function plain(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cs}\s]+/gu, ' ')
    .replace(/[\\`*_{}[\]<>#|~]/g, '\\$&')
    .trim();
}

/** A YAML string that holds any text; a Python one, too. */
export function quoted(text: string): string {
  return JSON.stringify(text.replace(/[\p{Cc}\p{Cs}\s]+/gu, ' ').trim());
}

/** The table of a run's settings. */
export function settingsTable(recipe: JsonObject, names: readonly string[]): string[] {
  const rows = names.flatMap((name) => {
    const value = recipe[name];
    return value === undefined ? [] : [`| ${name} | ${plain(String(value))} |`];
  });
  return ['| setting | value |', '| --- | --- |', ...rows];
}

/** How far the run got. */
export function stepsLine(run: RunRecord, step: number): string {
  const heldOut = run.heldOutLoss === null ? '' : `, held-out loss ${formatLoss(run.heldOutLoss)}`;
  return `- Steps: ${formatCount(step)} of ${formatCount(run.totalSteps)}; loss of the last step of the run ${formatLoss(run.loss)}${heldOut}.`;
}

/** What the adapter is, in a sentence. */
export function adapterLine(run: RunRecord, baseName: string): string {
  const { r, lora_alpha: alpha } = run.adapter;
  return `A LoRA adapter (rank ${plain(String(r))}, alpha ${plain(String(alpha))}) for ${plain(baseName)}, trained in the browser with Athanor.`;
}
