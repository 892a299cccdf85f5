/**
 * Exponential, with jitter, so that what failed together does not come back together.
 *
 *     attempt   1        2        3      …  from 10 on
 *     seconds   0.5–1    1–2      2–4        150–300
 */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const most = Math.min(1000 * 2 ** (attempt - 1), 300_000)
  return most * (0.5 + random() / 2)
}
