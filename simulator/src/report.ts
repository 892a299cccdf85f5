import type { Counters, Violation } from './counters.ts'
import type { Directory } from './directory/directory.ts'
import { LinkedDevice } from './directory/linked-device.ts'
import { deviceJid } from './jid.ts'
import type { Router } from './router/router.ts'

export interface DeviceReport {
  jid: string
  lid: string
  connected: boolean
  connects: number
  disconnects: number
  /** stanzas that its client has not confirmed */
  offline_queue: number
  /** one-time prekeys left */
  prekeys: number
}

/** Counts since the start. Messages are those of sockets: what contacts do among themselves is not in them. */
export interface Report {
  connections: number
  logins: number
  pairings: number
  violations: Violation[]
  messages_in: number
  messages_out: number
  acks: number
  /** by type; `delivered` is the one without a type */
  receipts: Record<string, number>
  /** iq stanzas that clients sent, by type and namespace (`set privacy`): what a client asks for too often, WhatsApp may hold against it */
  queries: Record<string, number>
  retries: number
  repeats: number
  devices: DeviceReport[]
}

export function report(counters: Counters, directory: Directory, router: Router): Report {
  const devices: DeviceReport[] = []
  for (const account of directory.accounts()) {
    for (const device of account.devices.values()) {
      if (!(device instanceof LinkedDevice)) continue
      const { connected, connects, disconnects } = device
      devices.push({
        jid: deviceJid(device, 'pn'),
        lid: deviceJid(device, 'lid'),
        connected,
        connects,
        disconnects,
        offline_queue: router.mailbox(device).size,
        prekeys: device.keys.preKeys.length,
      })
    }
  }
  return {
    connections: counters.connections,
    logins: counters.logins,
    pairings: counters.pairings,
    violations: [...counters.violations],
    messages_in: counters.messagesIn,
    messages_out: counters.messagesOut,
    acks: counters.acks,
    receipts: { ...counters.receipts },
    queries: { ...counters.queries },
    retries: counters.retries,
    repeats: counters.repeats,
    devices,
  }
}
