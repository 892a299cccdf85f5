/** Conversations as callers read them. */

import { decodeCursor, encodeCursor } from '../db/cursor.ts'
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
const page = prepared<Row>(
  'conversation_page',
  `select ${columns} from conversation
   where tenant_id = $1 and last_message_at is not null and ($2::uuid is null or account_id = $2)
     and ($3::timestamptz is null or (last_message_at, id) < ($3, $4::uuid))
   order by last_message_at desc, id desc limit $5`,
)
const byId = prepared<Row>(
  'conversation_by_id',
  `select ${columns} from conversation where tenant_id = $1 and id = $2`,
)
const byAddress = prepared<Row>(
  'conversation_by_address',
  `select ${columns} from conversation
   where tenant_id = $1 and ($2::uuid is null or account_id = $2) and (jid = $3 or pn = $4 or lid = $5)
   order by last_message_at desc nulls last limit 2`,
)

/** Those with the newest message first. Throws `invalid_cursor`. */
export async function listConversations(
  db: Queryable,
  tenantId: string,
  { accountId, cursor, limit }: { accountId?: string; cursor?: string; limit: number },
): Promise<ConversationPage> {
  const after = cursor === undefined ? undefined : decodeCursor(cursor)
  const rows = await page(db, [tenantId, accountId ?? null, after?.at ?? null, after?.id ?? null, limit + 1])
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
  const rows = await byAddress(db, [tenantId, accountId ?? null, jid, pn ?? null, lid ?? null])
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
