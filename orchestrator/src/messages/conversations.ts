/**
 * The conversation of each chat address, made where there is none.
 *
 * A person is addressed by phone number or by LID, and both lead to one conversation; two that were made before this
 * was known are merged. Where a conversation and an address disagree on the LID, the LID decides: the number has been
 * given to somebody else, and the older conversation loses it.
 */
import type { Address } from '@palomar/session-node/contract'
import type { ClientBase } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { prepared, together } from '../db/database.ts'
import { kindOf } from './address.ts'
import type { Identities, Pair } from './identities.ts'
import { mergeConversations } from './merge-conversations.ts'

export interface Conversation {
  id: string
  kind: string
  jid: string
  pn: string | null
  lid: string | null
  /** look-up before the first send is needed while this is null */
  resolvedAt: Date | null
}

export interface Owner {
  tenantId: string
  accountId: string
}

// By whole keys: with an `or` the planner may read all that an account has.
const find = prepared<Conversation>(
  'conversation_find',
  `select id, kind, jid, pn, lid, resolved_at as "resolvedAt" from conversation where id in (
     select id from conversation where account_id = $1 and jid = any($2)
     union select id from conversation where account_id = $1 and pn = any($3)
     union select id from conversation where account_id = $1 and lid = any($4))
   order by created_at, id`,
)
// Sorted, so that two who make the same ones wait for each other in the same order.
const insert = prepared(
  'conversation_insert',
  `insert into conversation (id, tenant_id, account_id, kind, jid, pn, lid)
   select id, $1, $2, kind, jid, pn, lid
   from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[]) as new(id, kind, jid, pn, lid)
   order by jid
   on conflict do nothing`,
)
const rename = prepared(
  'conversation_rename',
  'update conversation set jid = $2, pn = $3, lid = $4 where id = $1',
)

/**
 * The conversation of each address, in their order.
 * @param identities must have been read with these addresses
 * @param known those that exist by any name of these people, oldest first, where they have been read already
 */
export async function resolveConversations(
  tx: ClientBase,
  owner: Owner,
  addresses: readonly Address[],
  identities: Identities,
  known?: Conversation[],
): Promise<Conversation[]> {
  if (addresses.length === 0) return []
  const wanted = addresses.map((address) => identities.complete(address))
  const distinct = [...new Map(wanted.map((address) => [keyOf(address), address])).values()]
  let candidates = known ?? (await findAll(tx, owner.accountId, distinct))
  for (let round = 0; round < 5; round++) {
    const found = new Map<string, Conversation>()
    const index = createIndex(candidates)
    for (const address of distinct) {
      const conversation = await claim(tx, address, index)
      if (conversation) found.set(keyOf(address), conversation)
    }
    const missing = distinct.filter((address) => !found.has(keyOf(address)))
    if (missing.length === 0) return wanted.map((address) => found.get(keyOf(address)) as Conversation)
    // Whoever makes the same conversation at the same time wins, and is found.
    const [, all] = await together(insertAll(tx, owner, missing), findAll(tx, owner.accountId, distinct))
    candidates = all
  }
  throw new Error('conversations kept changing under the transaction')
}

/** Where conversations of these people exist, each person's become one; none is made. */
export async function joinConversations(
  tx: ClientBase,
  accountId: string,
  pairs: readonly Pair[],
): Promise<void> {
  if (pairs.length === 0) return
  const people = pairs.map(({ pn, lid }) => ({ jid: `${lid}@lid`, pn, lid }))
  const index = createIndex(await findAll(tx, accountId, people))
  for (const person of people) await claim(tx, person, index)
}

const keyOf = ({ jid, pn, lid }: Address) => (lid ? `${lid}@lid` : (pn ?? jid))

function insertAll(tx: ClientBase, owner: Owner, missing: readonly Address[]): Promise<unknown> {
  return insert(tx, [
    owner.tenantId,
    owner.accountId,
    missing.map(() => uuidv7()),
    missing.map(({ jid }) => kindOf(jid)),
    missing.map(({ jid }) => jid),
    missing.map(({ pn }) => pn ?? null),
    missing.map(({ lid }) => lid ?? null),
  ])
}

function findAll(tx: ClientBase, accountId: string, wanted: readonly Address[]): Promise<Conversation[]> {
  return find(tx, [
    accountId,
    wanted.map(({ jid }) => jid),
    wanted.flatMap(({ pn }) => pn ?? []),
    wanted.flatMap(({ lid }) => lid ?? []),
  ])
}

/** The one conversation of this address, others of the same person merged into it; undefined where there is none. */
async function claim(tx: ClientBase, address: Address, index: Index): Promise<Conversation | undefined> {
  const candidates = index.of(address)
  const strangers = candidates.filter((c) => c.lid && address.lid && c.lid !== address.lid)
  for (const stranger of strangers) {
    const stripped = { ...stranger, pn: null, jid: `${stranger.lid}@lid` }
    await rename(tx, [stripped.id, stripped.jid, null, stripped.lid])
    index.put(stripped)
  }
  const [kept, ...absorbed] = candidates.filter((candidate) => !strangers.includes(candidate))
  if (!kept) return undefined
  for (const { id } of absorbed) {
    await mergeConversations(tx, kept.id, id)
    index.drop(id)
  }
  const { pn = kept.pn, lid = kept.lid } = address
  if (kept.pn === pn && kept.lid === lid) return kept
  const completed = { ...kept, pn, lid }
  await rename(tx, [kept.id, kept.jid, pn, lid])
  index.put(completed)
  return completed
}

type Index = ReturnType<typeof createIndex>

/** What was found, oldest first, by every name it has. */
function createIndex(rows: Conversation[]) {
  const byId = new Map<string, Conversation>()
  const byName = new Map<string, Set<string>>()
  const put = (conversation: Conversation) => {
    byId.set(conversation.id, conversation)
    for (const name of [conversation.jid, conversation.pn, conversation.lid && `${conversation.lid}@lid`]) {
      if (name) byName.set(name, (byName.get(name) ?? new Set()).add(conversation.id))
    }
  }
  for (const row of rows) put(row)
  const order = new Map(rows.map(({ id }, n) => [id, n]))
  return {
    put,
    drop: (id: string) => void byId.delete(id),
    of({ jid, pn, lid }: Address): Conversation[] {
      const names = [jid, pn, lid && `${lid}@lid`].flatMap((name) => name || [])
      const ids = new Set(names.flatMap((name) => [...(byName.get(name) ?? [])]))
      return [...ids]
        .flatMap((id) => byId.get(id) ?? [])
        .filter((c) => c.jid === jid || (pn && c.pn === pn) || (lid && c.lid === lid))
        .sort((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0))
    },
  }
}
