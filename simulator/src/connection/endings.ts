/** The stanzas with which the server ends a connection. */
import { stanza } from '../codec/stanza.ts'
import type { Stanza } from '../types.ts'

export type EndingStyle = 'stream_error' | 'failure'

/** codes that WhatsApp gives as a refused login rather than as a broken stream */
const FAILURES = new Set([402, 403, 405, 406, 411])

/** `expire`: seconds that a ban (402) still lasts. */
export const failure = (code: number, expire?: number): Stanza =>
  stanza('failure', { reason: String(code), expire: expire?.toString(), location: 'atn' })

/** A stream error, with the child that WhatsApp adds to some codes; a replaced connection has no code at all. */
export function streamError(code: number): Stanza {
  if (code === 440) return stanza('stream:error', {}, [stanza('conflict', { type: 'replaced' })])
  const removed = code === 401 ? [stanza('conflict', { type: 'device_removed' })] : undefined
  return stanza('stream:error', { code: String(code) }, removed)
}

/** The ending for a code, in its usual style unless one is asked for. */
export function ending(code: number, style: EndingStyle | undefined, expire: number | undefined): Stanza {
  const chosen = style ?? (FAILURES.has(code) ? 'failure' : 'stream_error')
  return chosen === 'failure' ? failure(code, expire) : streamError(code)
}
