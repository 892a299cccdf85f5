/**
 * The keys this node has seen, serialised. While the node is attached the cache is the truth: the database follows it.
 * What is not durable yet is never dropped, for nobody else has it.
 */
interface Cached {
  value: string | null
  /** the log's position that wrote it; 0: it came from the database */
  position: number
}

export class KeyCache {
  readonly #entries = new Map<string, Cached>()
  readonly #maxBytes: number
  readonly #durablePosition: () => number
  #bytes = 0

  constructor(maxBytes: number, durablePosition: () => number) {
    this.#maxBytes = maxBytes
    this.#durablePosition = durablePosition
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** undefined: not known; null: known to be absent */
  get(type: string, id: string): string | null | undefined {
    const key = keyOf(type, id)
    const found = this.#entries.get(key)
    if (!found) return undefined
    // used last, dropped last
    this.#entries.delete(key)
    this.#entries.set(key, found)
    return found.value
  }

  /** a write of ours */
  write(type: string, id: string, value: string | null, position: number): void {
    this.#put(keyOf(type, id), { value, position })
    this.#evict()
  }

  /** what the database answered; a write made meanwhile is newer */
  learn(type: string, id: string, value: string | null): void {
    const key = keyOf(type, id)
    if (this.#entries.has(key)) return
    this.#put(key, { value, position: 0 })
    this.#evict()
  }

  /** drops an entry that is read once at most, if it is durable */
  forget(type: string, id: string): void {
    const key = keyOf(type, id)
    const found = this.#entries.get(key)
    if (found && found.position <= this.#durablePosition()) this.#remove(key, found)
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }

  #put(key: string, entry: Cached): void {
    const previous = this.#entries.get(key)
    if (previous) this.#remove(key, previous)
    this.#entries.set(key, entry)
    this.#bytes += sizeOf(key, entry)
  }

  #remove(key: string, entry: Cached): void {
    this.#entries.delete(key)
    this.#bytes -= sizeOf(key, entry)
  }

  #evict(): void {
    if (this.#bytes <= this.#maxBytes) return
    const durable = this.#durablePosition()
    // a tenth more than needed, so that a full cache is not walked at each write
    const target = this.#maxBytes * 0.9
    for (const [key, entry] of this.#entries) {
      if (this.#bytes <= target) return
      if (entry.position <= durable) this.#remove(key, entry)
    }
  }
}

const keyOf = (type: string, id: string) => `${type}\0${id}`
/** with what a map entry and two strings cost besides their characters */
const sizeOf = (key: string, { value }: Cached) => key.length + (value?.length ?? 0) + 100
