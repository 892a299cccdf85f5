import type { Socket } from 'node:net'
import { proto } from '@whiskeysockets/baileys'
import type { WebSocket } from 'ws'
import { LinkedDevice } from '../directory/linked-device.ts'
import type { HandshakeResult } from '../noise/handshake.ts'
import { readCompanion } from '../phone/companion.ts'
import type { Stanza } from '../types.ts'
import { failure } from './endings.ts'
import { Registration } from './registration.ts'
import type { Server } from './server.ts'
import { Session } from './session.ts'
import { Wire } from './wire.ts'

/** What a connection has become once its client has said who it is. */
export interface Role {
  stanza(stanza: Stanza): void
  closed(): void
}

/** Takes a socket from its first byte to its role: a registration, a session, or a refusal. */
export function serveConnection(server: Server, ws: WebSocket, tcp: Socket): void {
  let role: Role | undefined
  const name = () => (role instanceof Session ? role.name : 'unregistered')
  const wire = new Wire(ws, tcp, server.identity, {
    authenticated: (result) => {
      role = assume(server, wire, result)
    },
    stanza: (stanza) => role?.stanza(stanza),
    malformed: (error) => server.counters.violation('malformed', name(), error.message),
    closed: () => role?.closed(),
  })
  server.counters.connections++
}

function assume(server: Server, wire: Wire, { payload, clientStatic }: HandshakeResult): Role | undefined {
  const client = proto.ClientPayload.decode(payload)
  if (client.devicePairingData && !client.username) {
    const companion = readCompanion(client, clientStatic)
    if (typeof companion !== 'string') return new Registration(server, wire, companion)
    server.counters.violation(companion, 'unregistered', 'registration refused')
    wire.close(failure(400))
    return undefined
  }
  const device = server.directory.byPhone(String(client.username))?.devices.get(client.device ?? 0)
  if (!(device instanceof LinkedDevice) || !device.noiseKey.equals(clientStatic)) {
    wire.close(failure(401))
    return undefined
  }
  const refusal = server.refusals.get(device)
  if (refusal && refusal.times-- > 0) {
    wire.close(failure(refusal.code, refusal.expire))
    return undefined
  }
  return new Session(server, wire, device)
}
