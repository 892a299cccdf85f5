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

/** so many failures in a row are no accident */
const crashLoopFrom = 5
const slowRetryMs = 5 * 60_000
/** a session that runs out of memory again and again is in a loop, even if it is active for a while each time */
const provenMs = 10 * 60_000

/** The first failure costs no wait, further ones 1, 2, 4 s with jitter; a crash loop goes on slowly. */
export function nextTry({ failures, activeMs, oomKilled }: Ended, random = Math.random()): NextTry {
  const recovered = activeMs !== null && (!oomKilled || activeMs >= provenMs)
  const count = recovered ? 1 : failures + 1
  const crashLoop = count >= crashLoopFrom
  const full = crashLoop ? slowRetryMs : count === 1 ? 0 : 1_000 * 2 ** (count - 2)
  return { failures: count, crashLoop, delayMs: Math.round(full * (0.75 + random / 2)) }
}
