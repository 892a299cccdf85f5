/** What must be known to accept messages: who sends, and what the account knows of the recipient; in one statement. */
import type { Address } from '@palomar/session-node/contract'
import { prepared, type Queryable } from '../db/database.ts'
import type { SessionState } from '../sessions/state-table.ts'
import type { Conversation } from './conversations.ts'
import { Identities } from './identities.ts'

/** An account with all that it knows of those whom it is asked to write to. */
export interface Sender {
  tenantId: string
  accountId: string
  phone: string | null
  /** of its session */
  state: SessionState
  identities: Identities
  /** of the recipients by any of their names, oldest first */
  conversations: Conversation[]
  /** the transaction's time, as Postgres keeps it */
  now: Date
}

export interface Asked {
  tenantId: string
  accountId: string
  to: Address
}

interface Row extends Pick<Sender, 'accountId' | 'phone' | 'state' | 'now'> {
  n: number
  knownPn: string | null
  knownLid: string | null
  id: string | null
  kind: string
  jid: string
  pn: string | null
  lid: string | null
  resolvedAt: Date | null
}

const columns = `id, kind, jid, pn, lid, resolved_at as "resolvedAt", created_at as "createdAt"`
// Each table is met by whole keys of its unique indexes: with an `or`, or a join of identities, the planner may read all
// that an account has. The identity adds the name that the recipient did not say.
const lookUp = prepared<Row>(
  'outbound_look_up',
  `select w.n::integer, a.id as "accountId", a.phone, coalesce(s.state, 'created') as state,
     now()::timestamptz(3) as now, person.pn as "knownPn", person.lid as "knownLid", c.*
   from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[]) with ordinality
     as w(tenant_id, account_id, jid, pn, lid, n)
   join account a on a.id = w.account_id and a.tenant_id = w.tenant_id
   left join session s on s.account_id = a.id
   cross join lateral (
     select coalesce(w.pn, (select i.pn from identity i where i.account_id = a.id and i.lid = w.lid)) as pn,
       coalesce(w.lid, (select i.lid from identity i where i.account_id = a.id and i.pn = w.pn)) as lid
     offset 0 -- once, not wherever it is used
   ) person
   left join lateral (
     select ${columns} from conversation where account_id = a.id and jid = w.jid
     union all
     select ${columns} from conversation where account_id = a.id and pn = person.pn and jid <> w.jid
     union all
     select ${columns} from conversation where account_id = a.id and lid = person.lid and jid <> w.jid
       and pn is distinct from person.pn
   ) c on true
   order by c."createdAt", c.id`,
)

/** The sender of each, in their order; undefined where the tenant has no such account. */
export async function lookUpSenders(db: Queryable, asked: readonly Asked[]): Promise<(Sender | undefined)[]> {
  if (asked.length === 0) return []
  const distinct = [...new Map(asked.map((one) => [keyOf(one), one])).values()]
  const rows = await lookUp(db, [
    distinct.map(({ tenantId }) => tenantId),
    distinct.map(({ accountId }) => accountId),
    distinct.map(({ to }) => to.jid),
    distinct.map(({ to }) => to.pn ?? null),
    distinct.map(({ to }) => to.lid ?? null),
  ])
  const senders = new Map<string, Sender>()
  const found = new Map<string, Sender>()
  const seen = new Set<string>()
  for (const row of rows) {
    const one = distinct[row.n - 1] as Asked
    const sender = senders.get(row.accountId) ?? newSender(one.tenantId, row)
    senders.set(row.accountId, sender)
    found.set(keyOf(one), sender)
    if (row.knownPn && row.knownLid) sender.identities.add({ pn: row.knownPn, lid: row.knownLid })
    const { id, kind, jid, pn, lid, resolvedAt } = row
    if (!id || seen.has(id)) continue
    seen.add(id)
    sender.conversations.push({ id, kind, jid, pn, lid, resolvedAt })
  }
  return asked.map((one) => found.get(keyOf(one)))
}

const keyOf = ({ tenantId, accountId, to }: Asked) => `${tenantId} ${accountId} ${to.jid}`

function newSender(tenantId: string, { accountId, phone, state, now }: Row): Sender {
  return { tenantId, accountId, phone, state, now, identities: new Identities(), conversations: [] }
}
