/** Palomar as its users see it: REST with a key, and the events of one WebSocket. Nothing of the inside is used here. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'

export interface Answer<T = Record<string, unknown>> {
  status: number
  body: T
  headers: Headers
}

export interface PalomarEvent {
  id: string
  type: string
  account_id: string
  created_at: string
  data: Record<string, unknown>
}

export interface PalomarClient {
  readonly url: string
  readonly key: string
  /** any status is an answer; a network failure throws, and so does the signal */
  request<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Answer<T>>
  /** throws when the status is not 2xx, with the problem's detail */
  ok<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<T>
}

export function palomarClient(url: string, key: string): PalomarClient {
  const request: PalomarClient['request'] = async <T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ) => {
    const response = await fetch(url + path, {
      method,
      ...(signal ? { signal } : {}),
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const json = /json/.test(response.headers.get('content-type') ?? '')
    return {
      status: response.status,
      headers: response.headers,
      body: (json && text ? JSON.parse(text) : text) as T,
    }
  }
  return {
    url,
    key,
    request,
    async ok<T>(method: string, path: string, body?: unknown, headers = {}) {
      const answer = await request<T>(method, path, body, headers)
      if (answer.status >= 300)
        throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
      return answer.body
    },
  }
}

export interface EventStream {
  /** all that came, oldest first */
  readonly events: PalomarEvent[]
  /** the first event, past or coming, that fits; throws after the time limit with what was seen instead */
  waitFor(what: string, fits: (event: PalomarEvent) => boolean, timeoutMs?: number): Promise<PalomarEvent>
  close(): void
}

/** Opens /ws and resolves once it is ready. */
export async function openEvents(client: PalomarClient, query = ''): Promise<EventStream> {
  const socket = new WebSocket(`${client.url.replace('http', 'ws')}/ws${query}`, {
    headers: { authorization: `Bearer ${client.key}` },
  })
  const events: PalomarEvent[] = []
  const waiting = new Set<(event: PalomarEvent) => void>()
  socket.on('message', (data) => {
    const event = JSON.parse(String(data)) as PalomarEvent
    if (!event.id) return
    events.push(event)
    for (const told of waiting) told(event)
  })
  await once(socket, 'message')
  socket.on('error', () => socket.terminate())
  return {
    events,
    async waitFor(what, fits, timeoutMs = 30_000) {
      const past = events.find(fits)
      if (past) return past
      return new Promise((resolve, reject) => {
        const done = () => {
          waiting.delete(look)
          clearTimeout(timer)
        }
        const look = (event: PalomarEvent) => {
          if (!fits(event)) return
          done()
          resolve(event)
        }
        const timer = setTimeout(() => {
          done()
          const seen = events
            .slice(-10)
            .map(({ type, data }) => `${type} ${JSON.stringify(data).slice(0, 120)}`)
          reject(new Error(`no ${what} within ${timeoutMs} ms; last events:\n${seen.join('\n')}`))
        }, timeoutMs)
        waiting.add(look)
      })
    },
    close: () => socket.terminate(),
  }
}

/** Asks until the answer fits; throws after the time limit with the last answer. */
export async function until<T>(
  what: string,
  ask: () => Promise<T>,
  fits: (value: T) => boolean,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const value = await ask()
    if (fits(value)) return value
    if (Date.now() > deadline)
      throw new Error(`${what}: not within ${timeoutMs} ms; last: ${JSON.stringify(value).slice(0, 500)}`)
    await delay(50)
  }
}
