/** Accepts a message and waits for the end of its sending. */
import { v7 as uuidv7 } from 'uuid'
import type { Queryable } from '../db/database.ts'
import type { AcceptOptions, Acceptor } from './accept-message.ts'
import type { Answer } from './idempotency.ts'
import type { MessageInput } from './message-input.ts'
import { readMessage } from './message-queries.ts'
import type { Message } from './message-schemas.ts'
import type { EndWaiter } from './wait-for-end.ts'

export interface SendOptions {
  db: Queryable
  acceptor: Acceptor
  waiter: EndWaiter
  waitMs: number
}

/**
 * The message at its end, or as it is when the time is over or the signal aborts; or the key's first answer. Throws
 * what accepting throws.
 */
export function createSendAndWait({ db, acceptor, waiter, waitMs }: SendOptions) {
  return async (
    tenantId: string,
    input: MessageInput,
    options: AcceptOptions<Message>,
    signal?: AbortSignal,
  ): Promise<{ message: Message } | { answer: Answer }> => {
    const id = uuidv7()
    const listening = waiter.listen(id)
    try {
      const accepted = await acceptor.accept(tenantId, input, options, id)
      if ('answer' in accepted) return accepted
      // One of a request that was cut off: it may have ended long ago.
      const { message } = accepted
      if (message.id !== id) {
        return { message: await waiter.waitForEnd(tenantId, message.id, waitMs, signal) }
      }
      return { message: (await listening.end(waitMs, signal)) ?? (await readMessage(db, tenantId, id)) }
    } finally {
      listening.stop()
    }
  }
}
