/** A label of this value carries no loss, as in transformers. */
export const IGNORED_LABEL = -100;
