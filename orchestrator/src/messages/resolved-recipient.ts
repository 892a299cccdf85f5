/** What the look-up before a first send said: which number and LID the recipient really has. */
import type { Address } from '@palomar/session-node/contract'
import type { ClientBase } from 'pg'
import { prepared } from '../db/database.ts'
import { lockSession } from '../sessions/session-row.ts'
import { known } from './address.ts'
import { joinConversations, type Owner, resolveConversations } from './conversations.ts'
import { learnIdentities } from './identities.ts'
import { mergeConversations } from './merge-conversations.ts'

const markResolved = prepared(
  'conversation_resolved',
  'update conversation set resolved_at = now() where id = $1 and resolved_at is null',
)

/**
 * Moves the conversation to the recipient's own, when the number that was typed was only another way to write it.
 * Locks the session, as all who learn identities do.
 */
export async function keepRecipient(
  tx: ClientBase,
  owner: Owner & { sessionId: string },
  { id: conversationId, pn, lid }: { id: string; pn: string | null; lid: string | null },
  recipient: Address,
): Promise<void> {
  const { pn: truePn = pn, lid: trueLid = lid } = known(recipient)
  if (truePn === pn && trueLid === lid) return void (await markResolved(tx, [conversationId]))
  await lockSession(tx, owner.sessionId)
  const { identities, fresh } = await learnIdentities(tx, owner.accountId, [recipient], [])
  await joinConversations(tx, owner.accountId, fresh)
  const [own] = await resolveConversations(tx, owner, [recipient], identities)
  if (!own) return
  const still = await tx.query('select 1 from conversation where id = $1', [conversationId])
  if (own.id !== conversationId && still.rowCount === 1) await mergeConversations(tx, own.id, conversationId)
  await markResolved(tx, [own.id])
}
