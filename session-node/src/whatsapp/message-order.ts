import type { EventEmitter } from 'node:events'
import type { BinaryNode } from '@whiskeysockets/baileys'

type MessageHandler = (node: BinaryNode) => unknown

/** so many messages in a row may not keep commits and timers from running */
const BATCH = 10

/**
 * Hands Baileys one message at a time, in the order of arrival. By itself it looks up identities before it queues, so
 * that a message may overtake others, and it works off what was queued while we were away beside what comes in live.
 */
export class MessageOrder {
  readonly #offline = new Set<string>()

  /** the message was queued while we were away; known while Baileys has it in hand */
  isOffline(id: string | null | undefined): boolean {
    return this.#offline.has(id ?? '')
  }

  /** puts itself before Baileys' own handlers; those of `before` see each stanza as it arrives */
  apply(ws: EventEmitter & { readonly isOpen: boolean }, before: MessageHandler): void {
    const handlers = ws.listeners('CB:message') as MessageHandler[]
    ws.removeAllListeners('CB:message')
    let queue: Promise<void> = Promise.resolve()
    let count = 0
    ws.on('CB:message', (node: BinaryNode) => {
      before(node)
      queue = queue.then(async () => {
        // what is not handled is not receipted, so that it comes again
        if (!ws.isOpen) return
        await this.#handle(node, handlers)
        count += 1
        if (count % BATCH === 0) await new Promise((resolve) => setImmediate(resolve))
      })
    })
  }

  async #handle(node: BinaryNode, handlers: MessageHandler[]): Promise<void> {
    const { id = '', offline } = node.attrs
    if (offline !== undefined) {
      this.#offline.add(id)
      // Baileys would put it into a queue of its own
      delete node.attrs.offline
    }
    try {
      for (const handle of handlers) await handle(node)
    } finally {
      this.#offline.delete(id)
    }
  }
}
