/** Which phone number is which LID, as far as this process has heard: for answers that cannot wait for a look-up. */
export class Identities {
  readonly #lids = new Map<string, string>()
  readonly #pns = new Map<string, string>()
  readonly #max: number

  constructor(max = 5_000) {
    this.#max = max
  }

  lidOf(pn: string): string | undefined {
    return this.#lids.get(pn)
  }

  pnOf(lid: string): string | undefined {
    return this.#pns.get(lid)
  }

  /** true when it is news */
  learn(pn: string, lid: string): boolean {
    if (this.#lids.get(pn) === lid && this.#pns.get(lid) === pn) return false
    put(this.#lids, pn, lid, this.#max)
    put(this.#pns, lid, pn, this.#max)
    return true
  }

  clear(): void {
    this.#lids.clear()
    this.#pns.clear()
  }
}

const put = (map: Map<string, string>, key: string, value: string, max: number) => {
  map.delete(key)
  map.set(key, value)
  if (map.size > max) {
    const [oldest] = map.keys()
    if (oldest !== undefined) map.delete(oldest)
  }
}
