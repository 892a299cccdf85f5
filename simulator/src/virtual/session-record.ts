/**
 * What this room needs of libsignal's session records beyond its published types: copying and pruning.
 *
 * Records are kept as live objects, because serialising them for every message costs more than the
 * encryption itself. libsignal changes a record before it knows whether the message is genuine, so every
 * step runs on a copy that is only kept when the step succeeds.
 */
import { SessionRecord } from 'libsignal'

interface Chain {
  chainKey: { counter: number; key?: Buffer }
  chainType: number
  messageKeys: Record<string, Buffer>
}

export interface SessionEntry {
  registrationId: number
  currentRatchet: object
  indexInfo: { closed: number; used: number; remoteIdentityKey: Buffer }
  pendingPreKey?: object
  _chains: Record<string, Chain>
}

interface RecordInternals {
  sessions: Record<string, SessionEntry>
}

const { createEntry } = SessionRecord as unknown as { createEntry(): SessionEntry }
const RECEIVING = 2
/** Signal keeps five old receiving chains; some more lets badly reordered tests through */
const RECEIVING_CHAINS = 10

function sessionsOf(record: SessionRecord): Record<string, SessionEntry> {
  return (record as unknown as RecordInternals).sessions
}

/** A copy that can be advanced without touching the original. Key buffers are shared: nobody writes into them. */
export function copyEntry(entry: SessionEntry): SessionEntry {
  const copy = Object.assign(createEntry(), entry)
  copy.currentRatchet = { ...entry.currentRatchet }
  copy.indexInfo = { ...entry.indexInfo }
  copy._chains = {}
  for (const [id, chain] of Object.entries(entry._chains)) {
    copy._chains[id] = {
      chainType: chain.chainType,
      chainKey: { ...chain.chainKey },
      messageKeys: { ...chain.messageKeys },
    }
  }
  return copy
}

/** Makes `entry` what `advanced` has become. */
export function adoptEntry(entry: SessionEntry, advanced: SessionEntry): void {
  Object.assign(entry, advanced)
  if (!advanced.pendingPreKey) delete entry.pendingPreKey
}

export function copyRecord(record: SessionRecord): SessionRecord {
  const copy = new SessionRecord()
  const target = sessionsOf(copy)
  for (const [key, entry] of Object.entries(sessionsOf(record))) target[key] = copyEntry(entry)
  return copy
}

/** libsignal never forgets a receiving chain; a long ping-pong would grow a record without bound. */
export function pruneRecord(record: SessionRecord): void {
  for (const { _chains } of Object.values(sessionsOf(record))) {
    const receiving = Object.keys(_chains).filter((id) => _chains[id]?.chainType === RECEIVING)
    for (const id of receiving.slice(0, -RECEIVING_CHAINS)) delete _chains[id]
  }
}

/** The peer's identity key (33 bytes) of the session that would be used to send now, if there is one. */
export function openIdentity(record: SessionRecord): Buffer | undefined {
  return Object.values(sessionsOf(record)).find((entry) => entry.indexInfo.closed === -1)?.indexInfo
    .remoteIdentityKey
}
