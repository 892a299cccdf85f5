/** Who has just sent a message hears of it when its `sent` is in the database, whoever wrote it. */
import type { FanOut } from '../events/fan-out.ts'

export interface SentNews {
  /** To be called before it is sent, so that nothing is missed. */
  listen(messageId: string): Listening
  close(): void
}

export interface Listening {
  /** true as soon as it is told, false after `ms` without news; call it once, it ends the listening */
  within(ms: number): Promise<boolean>
  stop(): void
}

/** one subscription for all who listen */
export function createSentNews(fanOut: FanOut): SentNews {
  const listening = new Map<string, () => void>()
  const close = fanOut.subscribe((events) => {
    if (listening.size === 0) return
    for (const { type, data } of events) {
      if (type === 'message.sent') listening.get((data.message as { id: string }).id)?.()
    }
  })
  return {
    listen(messageId) {
      let tell: () => void = () => undefined
      const told = new Promise<true>((resolve) => {
        tell = () => resolve(true)
      })
      listening.set(messageId, tell)
      const stop = () => {
        if (listening.get(messageId) === tell) listening.delete(messageId)
      }
      return {
        async within(ms) {
          let timer: NodeJS.Timeout | undefined
          const late = new Promise<false>((resolve) => {
            timer = setTimeout(resolve, ms, false)
          })
          const heard = await Promise.race([told, late])
          clearTimeout(timer)
          stop()
          return heard
        },
        stop,
      }
    },
    close,
  }
}
