/** Copies of maps and sets with one thing changed, for state that is replaced and never mutated. */

export const EMPTY_MAP: ReadonlyMap<never, never> = new Map<never, never>();

export function withEntries<K, V>(map: ReadonlyMap<K, V>, entries: Iterable<readonly [K, V]>): ReadonlyMap<K, V> {
  const copy = new Map(map);
  for (const [key, value] of entries) copy.set(key, value);
  return copy;
}

export function withMember<K>(set: ReadonlySet<K>, member: K, inside: boolean): ReadonlySet<K> {
  const copy = new Set(set);
  if (inside) copy.add(member);
  else copy.delete(member);
  return copy;
}

export function without<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}
