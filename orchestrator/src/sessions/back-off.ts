/** How soon a session gets its next node after one has ended unasked. */

export interface Ended {
  /** nodes in a row, before this one, that ended without the session having been active */
  failures: number
  /** how long the session had been active with this node, in milliseconds; null: it never was */
  activeMs: number | null
  oomKilled: boolean
}

export interface NextTry {
  failures: number
  delayMs: number
  crashLoop: boolean
}

/** in milliseconds, by the failure: most causes of the first few are over in a moment */
const quickMs = [0, 1_000, 2_000, 4_000]
/** So many failures in a row are no accident; yet the cause may be gone in a minute. The last one for ever. */
const crashLoopMs = [30_000, 60_000, 2 * 60_000, 5 * 60_000]
/** a session that runs out of memory again and again is in a loop, even if it is active for a while each time */
const provenMs = 10 * 60_000

/** The first failure costs no wait, further ones 1, 2, 4 s; then it is a crash loop: 30 s, 1, 2, 5 min. With jitter. */
export function nextTry({ failures, activeMs, oomKilled }: Ended, random = Math.random()): NextTry {
  const recovered = activeMs !== null && (!oomKilled || activeMs >= provenMs)
  const count = recovered ? 1 : failures + 1
  const crashLoop = count > quickMs.length
  const full = [...quickMs, ...crashLoopMs][count - 1] ?? Math.max(...crashLoopMs)
  return { failures: count, crashLoop, delayMs: Math.round(full * (0.75 + random / 2)) }
}
