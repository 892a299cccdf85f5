/** All metrics of the orchestrator, in one place, so that names and labels stay bounded and consistent. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export type Metrics = ReturnType<typeof createMetrics>

export function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const fast = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  return {
    registry,
    httpDuration: new Histogram({
      name: 'palomar_http_request_duration_seconds',
      help: 'Public API, by route template',
      labelNames: ['method', 'route', 'status'],
      buckets: fast,
      registers,
    }),
    commitDuration: new Histogram({
      name: 'palomar_commit_duration_seconds',
      help: 'A node commit, from parsed to durable',
      labelNames: ['result'],
      buckets: fast,
      registers,
    }),
    sendDuration: new Histogram({
      name: 'palomar_send_duration_seconds',
      help: 'One try of a send, from the lane to the server ack or the error',
      labelNames: ['result'],
      buckets: fast,
      registers,
    }),
    messages: new Counter({
      name: 'palomar_messages_total',
      help: 'Messages stored or moved to a status',
      labelNames: ['event'],
      registers,
    }),
    nodeStarts: new Counter({
      name: 'palomar_node_starts_total',
      help: 'Nodes started, by driver and result',
      labelNames: ['driver', 'result'],
      registers,
    }),
    nodeExits: new Counter({
      name: 'palomar_node_exits_total',
      help: 'Nodes that ended without being asked to',
      labelNames: ['reason'],
      registers,
    }),
    disconnects: new Counter({
      name: 'palomar_session_disconnects_total',
      help: 'Active sessions that lost their connection, by reason',
      labelNames: ['reason'],
      registers,
    }),
    sessions: new Gauge({
      name: 'palomar_sessions',
      help: 'Sessions by observed state',
      labelNames: ['state'],
      registers,
    }),
    webSockets: new Gauge({ name: 'palomar_websocket_clients', help: 'Open WebSocket clients', registers }),
    webSocketDrops: new Counter({
      name: 'palomar_websocket_dropped_total',
      help: 'WebSocket clients closed for being slow',
      registers,
    }),
  }
}
