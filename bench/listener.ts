/** The event stream for measuring: each event is handed on with the time it came, and kept nowhere. */
import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { PalomarClient, PalomarEvent } from '../harness/palomar-client.ts'

export interface Listener {
  /** rejects if the stream ends before it is closed: what came after would be missing in the figures */
  broken: Promise<never>
  close(): void
}

/** Resolves once the stream is ready. `at`: ms since the epoch, with fractions. */
export async function listenFor(
  { url, key }: Pick<PalomarClient, 'url' | 'key'>,
  types: readonly string[],
  onEvent: (event: PalomarEvent, at: number) => void,
): Promise<Listener> {
  const query = types.map((type) => `event=${type}`).join('&')
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws?${query}`, {
    headers: { authorization: `Bearer ${key}` },
  })
  await once(socket, 'message')
  socket.on('message', (data) => {
    const at = performance.timeOrigin + performance.now()
    const event = JSON.parse(String(data)) as PalomarEvent
    if (event.id) onEvent(event, at)
  })
  let closed = false
  const broken = new Promise<never>((_, reject) => {
    socket.on('error', reject)
    socket.on('close', (code, reason) => {
      if (!closed) reject(new Error(`the event stream was closed with ${code} ${reason}`))
    })
  })
  // Whoever waits for events races against it; between waits it must not count as unhandled.
  broken.catch(() => undefined)
  return {
    broken,
    close() {
      closed = true
      socket.terminate()
    },
  }
}
