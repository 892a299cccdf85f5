/**
 * The inbox: plaintexts by the hash of their ciphertext, durable before WhatsApp gets a receipt. An entry is settled
 * once an event accounts for it, and kept a day longer, since WhatsApp may deliver the same stanza again.
 */
import type { InboxEntry } from '@palomar/session-node/contract'
import type pg from 'pg'
import { prepared, type Queryable } from '../db/database.ts'
import { postgresJson } from '../events/postgres-json.ts'
import type { Secrets } from '../secrets.ts'

/** the key type under which a node asks for inbox entries */
export const inboxKeyType = 'x-inbox'

/** hashes that an attaching node is told of */
const maxSeen = 5_000

export type InboxStore = ReturnType<typeof createInboxStore>

interface Row {
  hash: Buffer
  plaintext: Buffer
  stanza: InboxEntry['stanza']
}

const insert = prepared(
  'inbox_insert',
  `insert into inbox_entry as i (session_id, hash, plaintext, stanza, settled_at)
   select $1, e.hash, e.plaintext, e.stanza, case when e.settled then now() end
   from unnest($2::bytea[], $3::bytea[], $4::jsonb[], $5::boolean[]) with ordinality
     as e(hash, plaintext, stanza, settled, n)
   order by e.n
   on conflict (session_id, hash) do update set settled_at = excluded.settled_at
     where i.settled_at is null and excluded.settled_at is not null`,
)
const settle = prepared(
  'inbox_settle',
  `update inbox_entry set settled_at = now()
   where session_id = $1 and hash = any($2::bytea[]) and settled_at is null`,
)
const read = prepared<Row>(
  'inbox_read',
  'select hash, plaintext, stanza from inbox_entry where session_id = $1 and hash = any($2::bytea[])',
)

export function createInboxStore(secrets: Secrets) {
  return {
    /** Adds entries (known hashes are left alone) and settles hashes, new ones and old ones alike. */
    async writeInbox(
      tx: pg.ClientBase,
      sessionId: string,
      entries: readonly InboxEntry[],
      settledHashes: readonly string[],
    ): Promise<void> {
      const settled = new Set(settledHashes)
      const fresh = new Map(entries.map((entry) => [entry.hash, entry]))
      const rows = [...fresh.values()]
      if (rows.length > 0)
        await insert(tx, [
          sessionId,
          rows.map((entry) => Buffer.from(entry.hash, 'hex')),
          rows.map((entry) =>
            secrets.encrypt(Buffer.from(entry.plaintext, 'base64'), context(sessionId, entry.hash)),
          ),
          rows.map((entry) => postgresJson(entry.stanza)),
          rows.map((entry) => settled.has(entry.hash)),
        ])
      const older = [...settled].filter((hash) => !fresh.has(hash))
      if (older.length > 0) await settle(tx, [sessionId, older.map((hash) => Buffer.from(hash, 'hex'))])
    },

    /** What was decrypted but never became an event, in the order in which it came. */
    async readUnsettled(tx: pg.ClientBase, sessionId: string): Promise<InboxEntry[]> {
      const { rows } = await tx.query<Row>(
        `select hash, plaintext, stanza from inbox_entry
         where session_id = $1 and settled_at is null order by seq`,
        [sessionId],
      )
      return rows.map((row) => open(secrets, sessionId, row))
    },

    /** Hashes of the last day, newest first, bounded. */
    async readSeen(tx: pg.ClientBase, sessionId: string): Promise<string[]> {
      const { rows } = await tx.query<{ hash: string }>(
        `select encode(hash, 'hex') as hash from inbox_entry
         where session_id = $1 and created_at > now() - interval '1 day' order by seq desc limit ${maxSeen}`,
        [sessionId],
      )
      return rows.map((row) => row.hash)
    },
  }
}

/** Plaintexts (padded, base64) by hash, as the values of the virtual key type. */
export async function readInboxKeys(
  db: Queryable,
  secrets: Secrets,
  sessionId: string,
  hashes: readonly string[],
): Promise<Record<string, string>> {
  const rows = await read(db, [sessionId, hashes.map((hash) => Buffer.from(hash, 'hex'))])
  const entries = rows.map((row) => open(secrets, sessionId, row))
  return Object.fromEntries(entries.map((entry) => [entry.hash, entry.plaintext]))
}

/** Deletes settled entries older than a day, in small batches so that no lock is held long. Returns how many. */
export async function sweepInbox(
  pool: Pick<pg.Pool, 'query'>,
  batch = 1_000,
  maxBatches = 50,
): Promise<number> {
  let swept = 0
  for (let n = 0; n < maxBatches; n++) {
    const { rowCount } = await pool.query(
      `delete from inbox_entry where ctid = any(array(
         select ctid from inbox_entry
         where settled_at is not null and created_at < now() - interval '1 day'
         limit $1 for update skip locked))`,
      [batch],
    )
    swept += rowCount ?? 0
    if ((rowCount ?? 0) < batch) break
  }
  return swept
}

const context = (sessionId: string, hash: string) => `inbox:${sessionId}:${hash}`

function open(secrets: Secrets, sessionId: string, row: Row): InboxEntry {
  const hash = row.hash.toString('hex')
  const plaintext = secrets.decrypt(row.plaintext, context(sessionId, hash)).toString('base64')
  return { hash, plaintext, stanza: row.stanza }
}
