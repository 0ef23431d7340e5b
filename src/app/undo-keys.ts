/** What undo keys undo: a data set's history. */
interface Undoable {
  undo(): Promise<unknown>;
  redo(): Promise<unknown>;
}

/** Inputs without text: they have no undo of their own. */
const WITHOUT_TEXT = ['button', 'checkbox', 'color', 'file', 'image', 'radio', 'range', 'reset', 'submit'];
const TEXT = ['textarea', '[contenteditable=""]', '[contenteditable="true"]'];
const WRITES_TEXT = [`input:not(${WITHOUT_TEXT.map((type) => `[type="${type}"]`).join(', ')})`, ...TEXT].join(', ');

/** Whether keys pressed there write text, which has an undo of its own. */
export function writesText(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest(WRITES_TEXT) !== null;
}

/**
 * Hears the keys of undo and redo on a window: Control or Command with Z, with Shift for redo; Control and Y too. They work anywhere
 * on the step but where text is written.
 */
export function undoKeys(history: Undoable): (event: KeyboardEvent) => void {
  return (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || writesText(event.target)) return;
    const key = event.key.toLowerCase();
    const again = (key === 'z' && event.shiftKey) || (key === 'y' && event.ctrlKey && !event.shiftKey);
    if (!again && key !== 'z') return;
    event.preventDefault();
    void (again ? history.redo() : history.undo());
  };
}
