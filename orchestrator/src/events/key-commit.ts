/**
 * The commit that every send waits for: keys, and the protobuf that is about to leave. It makes no event, so it is one
 * statement, and so one round trip; `sending-commit.ts` adds what became of earlier messages.
 */
import type { CommitRequest, NodeEvent } from '@palomar/session-node/contract'
import { prepared, type Queryable } from '../db/database.ts'
import type { KeyStore } from '../sessions/key-store.ts'

// `any` beside a join: so rows are met by their whole key, and not by the session's or the account's alone.
// Keys to write and keys to delete have none in common: of one statement's parts none sees what another did.
const write = prepared(
  'key_commit',
  `with turn as (
     update session set last_seq = $3 where id = $1 and generation = $2 and last_seq = $3 - 1
     returning id, account_id
   ), put as (
     insert into signal_key (session_id, type, id, value)
     select turn.id, k.type, k.id, k.value from turn, unnest($4::text[], $5::text[], $6::bytea[]) as k(type, id, value)
     on conflict (session_id, type, id) do update set value = excluded.value
   ), gone as (
     delete from signal_key k using turn, unnest($7::text[], $8::text[]) as g(type, id)
     where k.session_id = turn.id and k.type = any($7::text[]) and k.id = any($8::text[])
       and k.type = g.type and k.id = g.id
   ), raws as (
     update message m set raw = r.raw from turn, unnest($9::text[], $10::bytea[]) as r(wa_id, raw)
     where m.account_id = turn.account_id and m.wa_id = any($9::text[]) and m.wa_id = r.wa_id and m.author = 'me'
       and m.raw is null
   )
   select 1 from turn`,
)

export type KeyCommit = Omit<CommitRequest, 'events'> & { events: Prepared[] }
type Prepared = Extract<NodeEvent, { type: 'prepared' }>

export function isKeyCommit(commit: CommitRequest): commit is KeyCommit {
  const { creds, inbox, events } = commit
  return creds === undefined && inbox.length === 0 && events.every(({ type }) => type === 'prepared')
}

/** False when it was not its turn: then nothing was written. Throws `invalid_request` for what is no key. */
export async function writeKeyCommit(
  db: Queryable,
  keys: Pick<KeyStore, 'seal'>,
  sessionId: string,
  { generation, seq, keys: mutations, events }: KeyCommit,
): Promise<boolean> {
  const { put, gone } = keys.seal(sessionId, mutations)
  const rows = await write(db, [
    ...[sessionId, generation, seq],
    ...[put.types, put.ids, put.values, gone.types, gone.ids],
    events.map(({ id }) => id),
    events.map(({ raw }) => Buffer.from(raw, 'base64')),
  ])
  return rows.length === 1
}
