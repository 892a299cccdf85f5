/** Doubling delays up to a cap, each drawn from its upper half so that many nodes do not come back in step. */
export const backoff = (
  attempt: number,
  baseMs: number,
  capMs: number,
  random: () => number = Math.random,
) => {
  const full = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30))
  return Math.round(full / 2 + (full / 2) * random())
}
