/** Adds to a map and drops its oldest entries beyond `limit`: long benchmarks must not fill the memory. */
export function addBounded<K, V>(map: Map<K, V>, key: K, value: V, limit: number): void {
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= limit) return
    map.delete(oldest)
  }
}
