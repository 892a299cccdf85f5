/** Conversations as callers read them. */

import { below, encodeCursor } from '../db/cursor.ts'
import { prepared, type Queryable } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import { readIdentities } from './identities.ts'
import type { ConversationPage, ConversationView } from './message-schemas.ts'
import { parseRecipient } from './recipient.ts'

interface Row {
  id: string
  accountId: string
  kind: ConversationView['kind']
  jid: string
  pn: string | null
  lid: string | null
  name: string | null
  lastMessageAt: Date | null
  createdAt: Date
}

const columns = `id, account_id as "accountId", kind, jid, pn, lid, name, last_message_at as "lastMessageAt",
  created_at as "createdAt"`

// A chat of which no message is known (of a history sync) is kept for its name, and not listed.
const pageOf = (account: string) =>
  `select ${columns} from conversation
   where tenant_id = $1 and last_message_at is not null and (last_message_at, id) < ($2::timestamptz, $3::uuid)
     ${account} order by last_message_at desc, id desc limit $4`
const page = prepared<Row>('conversation_page', pageOf(''))
const pageOfAccount = prepared<Row>('conversation_page_of_account', pageOf('and account_id = $5'))
const byId = prepared<Row>(
  'conversation_by_id',
  `select ${columns} from conversation where tenant_id = $1 and id = $2`,
)
const byAddressOf = (account: string) =>
  `select ${columns} from conversation
   where tenant_id = $1 and (jid = $2 or pn = $3 or lid = $4) ${account}
   order by last_message_at desc nulls last limit 2`
const byAddress = prepared<Row>('conversation_by_address', byAddressOf(''))
const byAddressOfAccount = prepared<Row>(
  'conversation_by_address_of_account',
  byAddressOf('and account_id = $5'),
)

/** Those with the newest message first. Throws `invalid_cursor`. */
export async function listConversations(
  db: Queryable,
  tenantId: string,
  { accountId, cursor, limit }: { accountId?: string; cursor?: string; limit: number },
): Promise<ConversationPage> {
  const values = [tenantId, ...below(cursor), limit + 1]
  const rows = await (accountId ? pageOfAccount(db, [...values, accountId]) : page(db, values))
  const shown = rows.slice(0, limit)
  const last = rows.length > limit ? shown.at(-1) : undefined
  return {
    data: shown.map(view),
    next_cursor: last?.lastMessageAt ? encodeCursor({ at: last.lastMessageAt, id: last.id }) : null,
  }
}

/**
 * One conversation by its id, or by a phone number or JID in any form that a recipient may have.
 * @param accountId whose conversation with that number; may be left out while only one account has one
 * Throws `conversation_not_found`, `invalid_recipient`, and `invalid_request` when several accounts have one.
 */
export async function readConversation(
  db: Queryable,
  tenantId: string,
  idOrAddress: string,
  accountId?: string,
): Promise<ConversationView> {
  if (uuid.test(idOrAddress)) {
    const [row] = await byId(db, [tenantId, idOrAddress])
    if (!row || (accountId && row.accountId !== accountId)) throw notFound(idOrAddress)
    return view(row)
  }
  const given = parseRecipient(idOrAddress, 'id')
  const { jid, pn, lid } = accountId ? (await readIdentities(db, accountId, [given])).complete(given) : given
  const values = [tenantId, jid, pn ?? null, lid ?? null]
  const rows = await (accountId ? byAddressOfAccount(db, [...values, accountId]) : byAddress(db, values))
  const [row, another] = rows
  if (!row) throw notFound(idOrAddress)
  if (another && another.accountId !== row.accountId) {
    const message = 'several accounts have a conversation with this number: say which'
    throw new PalomarError('invalid_request', `account_id: ${message}`, {
      fields: [{ field: 'account_id', message }],
    })
  }
  return view(row)
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const notFound = (id: string) => new PalomarError('conversation_not_found', `no conversation ${id}`)

function view(row: Row): ConversationView {
  return {
    id: row.id,
    account_id: row.accountId,
    kind: row.kind,
    jid: row.jid,
    phone: row.pn,
    lid: row.lid,
    name: row.name,
    last_message_at: row.lastMessageAt?.toISOString() ?? null,
    created_at: row.createdAt.toISOString(),
  }
}
