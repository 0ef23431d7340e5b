import { findPython } from '../../tools/python.mjs';

/** The Python interpreter with transformers and peft; an error that says how to make it where it is missing. */
export function referencePython(): string {
  const python = findPython();
  if (!python) throw new Error('The reference Python is missing: run `npm run python`, or set ATHANOR_PYTHON.');
  return python;
}
