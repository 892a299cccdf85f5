/** Waits until a send has ended, wherever it ended: the event of the end is fanned out to every replica. */
import type { Queryable } from '../db/database.ts'
import type { FanOut } from '../events/fan-out.ts'
import type { StoredEvent } from '../events/types.ts'
import { readMessage } from './message-queries.ts'
import { type Message, messageSchema } from './message-schemas.ts'
import { isEnded } from './status.ts'

export interface EndWaiter {
  /**
   * The message as it is once it was sent, has failed or was cancelled; after `ms`, or when `signal` aborts, as it is
   * then. Throws `message_not_found`.
   */
  waitForEnd(tenantId: string, messageId: string, ms: number, signal?: AbortSignal): Promise<Message>
  /** Ends the waiting of all, as if their time was up. */
  close(): void
}

/** one subscription for all who wait */
export function createEndWaiter({ db, fanOut }: { db: Queryable; fanOut: FanOut }): EndWaiter {
  const waiting = new Map<string, Set<(message: Message | undefined) => void>>()
  const tell = (id: string, message: Message | undefined) => {
    for (const resolve of waiting.get(id) ?? []) resolve(message)
  }
  const unsubscribe = fanOut.subscribe((events) => {
    if (waiting.size > 0) for (const event of events) if (ends.has(event.type)) tellOf(event)
  })

  function tellOf({ data }: StoredEvent): void {
    const { id } = (data.message ?? {}) as { id?: string }
    if (id && waiting.has(id)) tell(id, messageSchema.safeParse(data.message).data)
  }

  /** what is told of the message until the signal aborts; undefined then */
  function told(id: string, signal: AbortSignal): Promise<Message | undefined> {
    return new Promise((resolve) => {
      const done = (message: Message | undefined) => {
        signal.removeEventListener('abort', stop)
        const others = waiting.get(id)
        others?.delete(done)
        if (others?.size === 0) waiting.delete(id)
        resolve(message)
      }
      const stop = () => done(undefined)
      signal.addEventListener('abort', stop)
      waiting.set(id, (waiting.get(id) ?? new Set()).add(done))
      if (signal.aborted) stop()
    })
  }

  return {
    async waitForEnd(tenantId, messageId, ms, signal) {
      const enough = new AbortController()
      const timer = setTimeout(() => enough.abort(), ms)
      try {
        const end = told(messageId, signal ? AbortSignal.any([enough.signal, signal]) : enough.signal)
        // Read after we listen: an end before this is read, an end after it is told.
        const now = await readMessage(db, tenantId, messageId)
        if (isEnded(now.status)) return now
        return (await end) ?? (await readMessage(db, tenantId, messageId))
      } finally {
        clearTimeout(timer)
        enough.abort()
      }
    },
    close() {
      unsubscribe()
      for (const id of [...waiting.keys()]) tell(id, undefined)
    },
  }
}

const ends: ReadonlySet<string> = new Set(['message.sent', 'message.failed', 'message.cancelled'])
