/** One-time tickets: a browser cannot set headers on a WebSocket, and a key must not stand in a URL. */
import { randomBytes } from 'node:crypto'
import type { Caller } from './identity.ts'

export interface Tickets {
  issue(caller: Caller): { ticket: string; expires_at: string }
  /** the caller it was issued to, once; null when unknown, used or expired */
  redeem(ticket: string): Caller | null
}

const LIFE_MS = 30_000
const MAX_OPEN = 10_000

export function createTickets(now: () => number = Date.now): Tickets {
  const open = new Map<string, { caller: Caller; until: number }>()
  const dropStale = () => {
    // Insertion order is expiry order, so the stale ones stand at the front.
    for (const [ticket, { until }] of open) {
      if (until > now() && open.size < MAX_OPEN) return
      open.delete(ticket)
    }
  }
  return {
    issue(caller) {
      dropStale()
      const ticket = randomBytes(24).toString('base64url')
      const until = now() + LIFE_MS
      open.set(ticket, { caller, until })
      return { ticket, expires_at: new Date(until).toISOString() }
    },
    redeem(ticket) {
      const found = open.get(ticket)
      open.delete(ticket)
      return found && found.until > now() ? found.caller : null
    },
  }
}
