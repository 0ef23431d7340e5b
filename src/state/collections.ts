/** Copies of maps and sets with one thing changed, for state that is replaced and never mutated. */

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
