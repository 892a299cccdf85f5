/** What one append brings, and how many of them become one commit. */
import type { CommitRequestInput, InboxEntry, KeyMutation, NodeEventInput } from '../../contract/index.ts'

export interface Entry {
  creds?: string
  keys?: KeyMutation[]
  inbox?: InboxEntry[]
  events?: NodeEventInput[]
}

export interface QueuedEntry extends Entry {
  position: number
  bytes: number
  /** nothing after it may share its commit */
  seals: boolean
}

export interface BatchLimits {
  bytes: number
  items: number
}

/** close to the entry's length in the commit's JSON, a little above it */
export const measure = (entry: Entry): number => {
  let bytes = 64 + (entry.creds?.length ?? 0) * 2
  for (const key of entry.keys ?? []) {
    // values are JSON inside JSON: their quotes are escaped
    bytes += 48 + key.type.length + key.id.length + Math.ceil((key.value?.length ?? 4) * 1.4)
  }
  for (const record of entry.inbox ?? []) {
    bytes += 160 + record.plaintext.length + Buffer.byteLength(JSON.stringify(record.stanza))
  }
  for (const event of entry.events ?? []) bytes += 2 + Buffer.byteLength(JSON.stringify(event))
  return bytes
}

/** takes from the queue's head as many entries as fit one commit, at least one */
export const takeBatch = (queue: QueuedEntry[], limits: BatchLimits): QueuedEntry[] => {
  const used = { bytes: 0, keys: 0, inbox: 0, events: 0 }
  let count = 0
  for (const entry of queue) {
    used.bytes += entry.bytes
    used.keys += entry.keys?.length ?? 0
    used.inbox += entry.inbox?.length ?? 0
    used.events += entry.events?.length ?? 0
    const fits = used.bytes <= limits.bytes && Math.max(used.keys, used.inbox, used.events) <= limits.items
    if (count > 0 && !fits) break
    count += 1
    if (entry.seals) break
  }
  return queue.splice(0, count)
}

/** one commit of many entries: the last credentials and the last value of each key win, all else is kept in order */
export const mergeBatch = (
  batch: readonly QueuedEntry[],
  generation: number,
  seq: number,
): CommitRequestInput => {
  const keys = new Map<string, KeyMutation>()
  const commit: CommitRequestInput & { inbox: InboxEntry[]; events: NodeEventInput[] } = {
    generation,
    seq,
    inbox: [],
    events: [],
  }
  for (const entry of batch) {
    if (entry.creds !== undefined) commit.creds = entry.creds
    for (const key of entry.keys ?? []) keys.set(`${key.type}\0${key.id}`, key)
    if (entry.inbox) commit.inbox.push(...entry.inbox)
    if (entry.events) commit.events.push(...entry.events)
  }
  return { ...commit, keys: [...keys.values()] }
}
