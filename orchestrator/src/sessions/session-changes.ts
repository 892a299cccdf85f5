/**
 * Tells whoever waits that something about a session has changed: a node started, attached or ended, its state moved.
 * Within this process only, and it says no more than "look again", so that waiting never depends on it alone.
 */
import { EventEmitter } from 'node:events'

export interface SessionChanges {
  changed(sessionId: string): void
  /** Resolves at the next change of the session, after `ms`, or when the signal aborts; never rejects. */
  next(sessionId: string, ms: number, signal?: AbortSignal): Promise<void>
}

export function createSessionChanges(): SessionChanges {
  const emitter = new EventEmitter().setMaxListeners(0)
  return {
    changed: (sessionId) => void emitter.emit(sessionId),
    next: (sessionId, ms, signal) =>
      new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer)
          emitter.off(sessionId, done)
          signal?.removeEventListener('abort', done)
          resolve()
        }
        const timer = setTimeout(done, ms)
        emitter.on(sessionId, done)
        signal?.addEventListener('abort', done)
        if (signal?.aborted) done()
      }),
  }
}
