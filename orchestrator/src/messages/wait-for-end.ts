/** Waits until a send has ended, wherever it ended: the event of the end is fanned out to every replica. */
import type { Queryable } from '../db/database.ts'
import type { FanOut } from '../events/fan-out.ts'
import type { StoredEvent } from '../events/types.ts'
import { readMessage } from './message-queries.ts'
import type { Message } from './message-schemas.ts'
import { isEnded } from './status.ts'

export interface EndWaiter {
  /** Hears of this message's end from now on: nothing is missed when it begins before the message is stored. */
  listen(messageId: string): Listening
  /**
   * The message as it is once it was sent, has failed or was cancelled; after `ms`, or when `signal` aborts, as it is
   * then. Throws `message_not_found`.
   */
  waitForEnd(tenantId: string, messageId: string, ms: number, signal?: AbortSignal): Promise<Message>
  /** Ends the waiting of all, as if their time was up. */
  close(): void
}

export interface Listening {
  /** the message at its end; undefined when `ms` are over or `signal` aborts before */
  end(ms: number, signal?: AbortSignal): Promise<Message | undefined>
  /** must be called */
  stop(): void
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
    const message = data.message as Message | undefined
    if (message && waiting.has(message.id)) tell(message.id, message)
  }

  function listen(id: string): Listening {
    let resolve: (message: Message | undefined) => void = () => undefined
    const told = new Promise<Message | undefined>((done) => {
      resolve = done
    })
    waiting.set(id, (waiting.get(id) ?? new Set()).add(resolve))
    return {
      async end(ms, signal) {
        const enough = () => resolve(undefined)
        const timer = setTimeout(enough, ms)
        signal?.addEventListener('abort', enough)
        if (signal?.aborted) enough()
        try {
          return await told
        } finally {
          clearTimeout(timer)
          signal?.removeEventListener('abort', enough)
        }
      },
      stop() {
        const others = waiting.get(id)
        others?.delete(resolve)
        if (others?.size === 0) waiting.delete(id)
      },
    }
  }

  return {
    listen,
    async waitForEnd(tenantId, messageId, ms, signal) {
      const listening = listen(messageId)
      try {
        // Read after we listen: an end before this is read, an end after it is told.
        const now = await readMessage(db, tenantId, messageId)
        if (isEnded(now.status)) return now
        return (await listening.end(ms, signal)) ?? (await readMessage(db, tenantId, messageId))
      } finally {
        listening.stop()
      }
    },
    close() {
      unsubscribe()
      for (const id of [...waiting.keys()]) tell(id, undefined)
    },
  }
}

const ends: ReadonlySet<string> = new Set(['message.sent', 'message.failed', 'message.cancelled'])
