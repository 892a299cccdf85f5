/**
 * Fan-out between replicas over Redis' publish and subscribe. Redis is a shortcut, never a store: while it is away,
 * this process' own listeners go on, and what other replicas missed stays in the event log.
 */
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { z } from 'zod'
import type { Logger } from '../logger.ts'
import { createFanOut, type FanOut } from './fan-out.ts'
import { eventTypes, type StoredEvent } from './types.ts'

const envelope = z.object({
  from: z.string(),
  events: z.array(
    z.object({
      id: z.string(),
      type: z.enum(eventTypes),
      tenant_id: z.string(),
      account_id: z.string(),
      created_at: z.string(),
      data: z.record(z.string(), z.unknown()),
    }),
  ),
})

export interface RedisFanOut extends FanOut {
  /** resolves when this replica hears the others (again) */
  ready(): Promise<void>
}

/** @param installation replicas of one installation hear each other; others on the same Redis do not */
export function createRedisFanOut(url: string, installation: string, logger: Logger): RedisFanOut {
  const local = createFanOut(logger)
  const self = randomUUID()
  const channel = `palomar:${installation}:events`
  const options = {
    enableOfflineQueue: false,
    maxRetriesPerRequest: null,
    retryStrategy: (attempt: number) => Math.min(100 * attempt, 2_000),
  }
  const publisher = new Redis(url, options)
  const subscriber = new Redis(url, { ...options, autoResubscribe: false })
  const waiting: (() => void)[] = []
  let state: 'new' | 'away' | 'ready' = 'new'

  /** said once, however many tries fail */
  const away = (error: unknown) => {
    if (state !== 'away') logger.warn('Redis is away: events reach this replica only', { error })
    state = 'away'
  }
  const back = () => {
    if (publisher.status !== 'ready') return
    if (state === 'away') logger.info('Redis is back: events reach every replica')
    state = 'ready'
    for (const resolve of waiting.splice(0)) resolve()
  }
  let heard = false
  const onSubscribed = () => {
    heard = true
    back()
  }
  publisher.on('error', away)
  publisher.on('ready', () => {
    if (heard) back()
  })
  subscriber.on('error', away)
  subscriber.on('close', () => {
    heard = false
  })
  subscriber.on('ready', () => subscriber.subscribe(channel).then(onSubscribed, away))
  subscriber.on('message', (_channel: string, text: string) => {
    const parsed = parseEnvelope(text)
    if (!parsed) logger.warn('a message on the event channel is not ours', { channel })
    else if (parsed.from !== self) local.publish(parsed.events)
  })

  return {
    publish(events) {
      if (events.length === 0) return
      local.publish(events)
      publisher.publish(channel, JSON.stringify({ from: self, events })).catch(away)
    },
    subscribe: local.subscribe,
    ready: () =>
      state === 'ready' && heard ? Promise.resolve() : new Promise((resolve) => void waiting.push(resolve)),
    async close() {
      await local.close()
      publisher.disconnect()
      subscriber.disconnect()
    },
  }
}

function parseEnvelope(text: string): { from: string; events: StoredEvent[] } | undefined {
  try {
    return envelope.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
