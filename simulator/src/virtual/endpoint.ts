/** The Signal end of one virtual device: its keys and sessions, and who its peers are. */
import { jidDecode } from '@whiskeysockets/baileys'
import type { Device, ServerPort } from '../types.ts'
import { createGroupSessions, type GroupSessions } from './group-sessions.ts'
import { createSignalSessions, type SignalSessions } from './signal-session.ts'
import { createSignalStore, type SignalStore } from './signal-store.ts'

export interface Peer {
  /** the one name under which sessions with this device are kept, whichever way it is addressed */
  address: string
  /** it belongs to the same account */
  own: boolean
}

export interface Endpoint {
  readonly device: Device
  readonly port: ServerPort
  readonly store: SignalStore
  readonly sessions: SignalSessions
  readonly groups: GroupSessions
  /** the device behind a device JID, by phone number or LID */
  peerAt(jid: string): Peer
  peerOf(device: Device): Peer
}

/** Gives the device Signal keys of its own; device 0 has its account's primary identity. */
export function createEndpoint(
  port: ServerPort,
  device: Device,
  identity: { publicKey: Buffer; privateKey: Buffer },
): Endpoint {
  const { account } = device
  const store = createSignalStore(identity)
  const own = addressOf(account.lid, device.id)
  device.keys = store.bundle
  return {
    device,
    port,
    store,
    sessions: createSignalSessions(store, own.replace('.', ':')),
    groups: createGroupSessions(own),
    peerAt(jid) {
      const { user = '', device: id = 0 } = jidDecode(jid) ?? {}
      // The directory knows both names of everybody; a stranger to it has only the name he came with.
      const lid = port.devicesOf(jid)[0]?.account.lid ?? user
      return { address: addressOf(lid, id), own: lid === account.lid }
    },
    peerOf: (other) => ({
      address: addressOf(other.account.lid, other.id),
      own: other.account.lid === account.lid,
    }),
  }
}

function addressOf(lid: string, device: number): string {
  return `${lid}.${device}`
}
