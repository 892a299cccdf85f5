/** From checked items to stored messages: conversation ─▶ message (pending, its WhatsApp id chosen) ─▶ lane job. */
import type { PoolClient, QueryConfig } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { together } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import { good, type Item } from './accept-checks.ts'
import { type Conversation, resolveConversations } from './conversations.ts'
import type { Message } from './message-schemas.ts'
import { viewMessage } from './message-view.ts'
import { insertingOutbound, pendingRow } from './outbound-rows.ts'
import { enqueuingSends } from './send-job.ts'

/** Each item's message, or its error in its place; and what stores them, for the transaction to end with. */
export interface Draft {
  results: (Message | PalomarError)[]
  statements: QueryConfig[]
}

export async function draftItems(tx: PoolClient, items: readonly (Item | PalomarError)[]): Promise<Draft> {
  const taken = good(items)
  const conversations = await conversationsOf(tx, taken)
  const rows = taken.map(({ id, input, async, sender, context }) =>
    pendingRow({
      ...{ id, sender, context },
      conversation: conversations.get(id) as Conversation,
      content: { type: input.type, text: input.text },
      metadata: input.metadata ?? null,
      correlationId: async ? uuidv7() : null,
      sendAt: input.send_at ? new Date(input.send_at) : null,
    }),
  )
  // In the order of the items, which becomes the order of each lane.
  const sends = rows.map(({ id, tenantId, accountId, sendAt }, n) => ({
    ...{ tenantId, accountId, messageId: id, sendAt },
    priority: taken[n]?.input.priority ?? 0,
  }))
  const views = new Map(rows.map((row) => [row.id, viewMessage(row)]))
  return {
    results: items.map((item) => (item instanceof PalomarError ? item : (views.get(item.id) as Message))),
    statements: rows.length > 0 ? [insertingOutbound(rows), enqueuingSends(sends)] : [],
  }
}

/** Each recipient's conversation; account by account in one order, so that two bulks cannot lock each other out. */
async function conversationsOf(tx: PoolClient, items: readonly Item[]): Promise<Map<string, Conversation>> {
  const byId = new Map<string, Conversation>()
  const byAccount = new Map<string, Item[]>()
  for (const item of items) {
    const own = byAccount.get(item.sender.accountId)
    if (own) own.push(item)
    else byAccount.set(item.sender.accountId, [item])
  }
  const accounts = [...byAccount.values()].sort(([a], [b]) => (keyOf(a) < keyOf(b) ? -1 : 1))
  await together(
    ...accounts.map(async (own) => {
      const { sender } = own[0] as Item
      const people = own.map(({ to }) => to)
      const found = await resolveConversations(tx, sender, people, sender.identities, sender.conversations)
      own.forEach(({ id }, n) => {
        byId.set(id, found[n] as Conversation)
      })
    }),
  )
  return byId
}

const keyOf = (item: Item | undefined) => item?.sender.accountId ?? ''
