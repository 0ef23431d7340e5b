/** Letters, digits and hyphens alone, of any text; what sd-scripts reads from underscores stays out of it. */
export function slug(text: string, otherwise: string): string {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .toLowerCase()
    .slice(0, 40)
    .replace(/-+$/, '');
  return plain === '' ? otherwise : plain;
}

/** Text on one line, without control characters and halves of characters. */
export function oneLine(text: string): string {
  return text
    .replace(/\p{Cs}/gu, '\ufffd')
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .replace(/ +/g, ' ')
    .trim();
}

/** A word of a shell that is nothing but itself. */
export function shellWord(text: string): string {
  return `'${oneLine(text).replaceAll("'", `'\\''`)}'`;
}

/** A string of TOML and of YAML, whose escapes JSON shares. */
export function quoted(text: string): string {
  return JSON.stringify(oneLine(text));
}

/** Text of a person inside Markdown, on one line. */
export function markdown(text: string): string {
  return oneLine(text).replace(/[\\`*_{}[\]<>#|~$&]/g, '\\$&');
}
