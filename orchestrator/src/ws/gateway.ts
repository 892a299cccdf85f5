/**
 * The WebSocket at /ws: events of the caller's tenant as they commit.
 *
 *   upgrade ──(key or ticket, origin)──▶ `{"type":"ready"}` ──▶ events … ──▶ closed
 *
 * A client that does not read is closed (1013) rather than buffered without end; one that does not answer pings is
 * terminated. What it missed stays in the event log.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { StoredEvent } from '../events/types.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { Caller } from '../tenants/identity.ts'
import { clientMessage, type Subscription, subscriptionOfQuery, wants } from './subscription.ts'

export interface GatewayOptions {
  authenticate(request: IncomingMessage, query: URLSearchParams): Promise<Caller | null>
  subscribe(listener: (events: StoredEvent[]) => void): () => void
  allowedOrigins: readonly string[]
  logger: Logger
  metrics: Metrics
  heartbeatMs?: number
  /** bytes waiting in a client's socket past which it is closed */
  maxBufferedBytes?: number
}

interface Client {
  socket: WebSocket
  subscription: Subscription
  alive: boolean
}

export interface Gateway {
  attach(server: Server): void
  /** closes every client with 1001 */
  close(): void
}

const refuse = (socket: Duplex, status: string) =>
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)

export function createGateway(options: GatewayOptions): Gateway {
  const { metrics, logger, heartbeatMs = 30_000, maxBufferedBytes = 1024 * 1024 } = options
  const server = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 })
  const byTenant = new Map<string, Set<Client>>()

  function add(caller: Caller, client: Client): void {
    const clients = byTenant.get(caller.tenantId) ?? new Set()
    byTenant.set(caller.tenantId, clients.add(client))
    metrics.webSockets.inc()
    client.socket.on('pong', () => {
      client.alive = true
    })
    client.socket.on('message', (data) => {
      const parsed = clientMessage.safeParse(parseJson(String(data)))
      if (!parsed.success)
        return client.socket.close(1008, 'send {"type":"subscribe", account_ids?, events?}')
      const { account_ids, events } = parsed.data
      client.subscription = { account_ids, events }
      client.socket.send(JSON.stringify({ type: 'subscribed', account_ids, events }))
    })
    client.socket.on('error', (error) => logger.debug('websocket client failed', { error }))
    client.socket.on('close', () => {
      clients.delete(client)
      if (clients.size === 0 && byTenant.get(caller.tenantId) === clients) byTenant.delete(caller.tenantId)
      metrics.webSockets.dec()
    })
    client.socket.send(JSON.stringify({ type: 'ready' }))
  }

  function send(client: Client, text: string): void {
    if (client.socket.readyState !== client.socket.OPEN) return
    if (client.socket.bufferedAmount > maxBufferedBytes) {
      metrics.webSocketDrops.inc()
      client.socket.close(1013, 'too slow')
      // A peer that reads nothing never sees the close frame.
      setTimeout(() => client.socket.terminate(), 1_000).unref()
      return
    }
    client.socket.send(text)
  }

  const unsubscribe = options.subscribe((events) => {
    for (const event of events) {
      const clients = byTenant.get(event.tenant_id)
      if (!clients) continue
      const { tenant_id: _, ...shown } = event
      const text = JSON.stringify(shown)
      for (const client of clients) if (wants(client.subscription, event)) send(client, text)
    }
  })

  const heartbeat = setInterval(() => {
    for (const clients of byTenant.values()) {
      for (const client of clients) {
        if (!client.alive) client.socket.terminate()
        client.alive = false
        client.socket.ping()
      }
    }
  }, heartbeatMs)

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost')
    if (url.pathname !== '/ws') return void refuse(socket, '404 Not Found')
    const { origin } = request.headers
    if (origin && !options.allowedOrigins.includes(origin)) return void refuse(socket, '403 Forbidden')
    const subscription = subscriptionOfQuery(url.searchParams)
    if (!subscription) return void refuse(socket, '400 Bad Request')
    const caller = await options.authenticate(request, url.searchParams)
    if (!caller) return void refuse(socket, '401 Unauthorized')
    server.handleUpgrade(request, socket, head, (ws) =>
      add(caller, { socket: ws, subscription, alive: true }),
    )
  }

  return {
    attach(http) {
      http.on('upgrade', (request, socket, head) => {
        socket.on('error', (error) => logger.debug('websocket socket failed', { error }))
        upgrade(request, socket, head).catch((error) => {
          logger.error('websocket upgrade failed', { error })
          refuse(socket, '500 Internal Server Error')
        })
      })
    },
    close() {
      clearInterval(heartbeat)
      unsubscribe()
      for (const clients of byTenant.values())
        for (const { socket } of clients) socket.close(1001, 'shutting down')
      server.close()
    },
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
