/** Committed events on their way to who listens now: WebSockets, and callers that wait for the end of a send. */
import type { Logger } from '../logger.ts'
import type { StoredEvent } from './types.ts'

export type EventListener = (events: StoredEvent[]) => void

export interface FanOut {
  /** Tells the listeners of this process at once, and those of the other replicas where there are any. Never throws. */
  publish(events: StoredEvent[]): void
  /** Returns what ends the subscription. A listener that throws is logged, and harms no other. */
  subscribe(listener: EventListener): () => void
  close(): Promise<void>
}

/** For a single replica. */
export function createFanOut(logger: Logger): FanOut {
  const listeners = new Set<EventListener>()
  return {
    publish(events) {
      if (events.length === 0) return
      for (const listener of listeners) {
        try {
          listener(events)
        } catch (error) {
          logger.error('an event listener failed', { error })
        }
      }
    },
    subscribe(listener) {
      // A wrapper each time, so that one function subscribed twice is two subscriptions.
      const subscription: EventListener = (events) => listener(events)
      listeners.add(subscription)
      return () => void listeners.delete(subscription)
    },
    async close() {
      listeners.clear()
    },
  }
}
