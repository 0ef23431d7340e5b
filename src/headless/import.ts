import type { Task } from '../common/task.ts';
import { writeOut } from './files.ts';
import { HEADLESS_KINDS } from './kinds.ts';

/** Imports as dropping these files on the page does; writes report.json and what was kept. Returns the report. */
export async function importInto(task: Task, files: readonly string[], out: string): Promise<object> {
  const { report, files: kept } = await HEADLESS_KINDS[task].importFiles(files);
  writeOut(out, [['report.json', `${JSON.stringify(report, null, 2)}\n`], ...kept]);
  return report;
}
