/**
 * Accepting a message: once this has returned, it is stored and will be sent, whatever is killed.
 *
 *   one transaction: idempotency key ─▶ checks ─▶ conversation ─▶ message (pending, its WhatsApp id chosen) ─▶ lane job
 */
import type { PoolClient } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { type Database, together } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import { checkItems, good, type Item } from './accept-checks.ts'
import { resolveConversations } from './conversations.ts'
import { type Answer, type IdempotencyKey, takeKey } from './idempotency.ts'
import { Identities } from './identities.ts'
import type { MessageInput } from './message-input.ts'
import { readMessages } from './message-queries.ts'
import type { Message } from './message-schemas.ts'
import { viewMessage } from './message-view.ts'
import { insertOutbound, type NewOutbound } from './outbound-rows.ts'
import { retryConflict } from './retry-conflict.ts'
import { enqueueSends } from './send-job.ts'

export interface AcceptOptions {
  /** the caller does not wait: the end is told by a `message.ack` event with the message's correlation id */
  async: boolean
  /** take it although the session is not connected; implied by `async`, and by an item's `send_at` */
  queue: boolean
  idempotency?: IdempotencyKey
}

export interface Acceptor {
  /**
   * Throws `account_not_found`, `invalid_recipient`, `session_not_connected` (with the state), `message_not_found`
   * (of the quoted one), `idempotency_mismatch`, `idempotency_in_progress`. Gives the first answer where the key
   * already has one.
   */
  accept(
    tenantId: string,
    input: MessageInput,
    options: AcceptOptions,
  ): Promise<{ message: Message } | { answer: Answer }>
  /**
   * Up to a thousand in one transaction. An error, given or found, stands in its item's place and harms no other;
   * only those of the idempotency key are thrown.
   */
  acceptMany(
    tenantId: string,
    inputs: readonly (MessageInput | PalomarError)[],
    options: AcceptOptions,
  ): Promise<{ results: (Message | PalomarError)[] } | { answer: Answer }>
}

export interface AcceptorOptions {
  database: Database
  /** tells the lanes' worker that there is work */
  wake: () => void
  /** longer than any request runs: one whose key has no answer by then was cut off; default 3 minutes */
  abandonedAfterMs?: number
}

export function createAcceptor({ database, wake, abandonedAfterMs = 180_000 }: AcceptorOptions): Acceptor {
  async function transaction<T>(work: (tx: PoolClient) => Promise<T>): Promise<T> {
    const result = await retryConflict(() => database.transaction(work))
    wake()
    return result
  }
  return {
    accept: (tenantId, input, options) =>
      transaction(async (tx) => {
        const written = await write(tx, tenantId, [input], options, abandonedAfterMs)
        if ('answer' in written) return written
        const [message] = written.results
        // Thrown in here, so that a message that was not taken leaves no key behind.
        if (message instanceof PalomarError) throw message
        if (!message) throw new PalomarError('message_not_found', 'what the first request made is gone')
        return { message }
      }),
    acceptMany: (tenantId, inputs, options) =>
      transaction((tx) => write(tx, tenantId, inputs, options, abandonedAfterMs)),
  }
}

async function write(
  tx: PoolClient,
  tenantId: string,
  inputs: readonly (MessageInput | PalomarError)[],
  { async, queue, idempotency }: AcceptOptions,
  abandonedAfterMs: number,
): Promise<{ results: (Message | PalomarError)[] } | { answer: Answer }> {
  const numbered = inputs.map((input) => ({ id: uuidv7(), input }))
  if (idempotency) {
    const ids = numbered.map(({ id }) => id)
    const taken = await takeKey(tx, tenantId, idempotency, ids, abandonedAfterMs)
    if ('answer' in taken) return { answer: taken.answer }
    if ('messageIds' in taken) return { results: await readMessages(tx, tenantId, taken.messageIds) }
  }
  const items = await checkItems(tx, tenantId, numbered, !async && !queue)
  const drafts = await draftAll(tx, tenantId, good(items), async)
  if (drafts.length === 0) return { results: items.filter((item) => item instanceof PalomarError) }
  const inputOf = new Map(good(items).map(({ id, input }) => [id, input]))
  const sends = drafts.map(({ id, sender: { accountId }, sendAt }) => ({
    ...{ tenantId, accountId, messageId: id, sendAt },
    priority: inputOf.get(id)?.priority ?? 0,
  }))
  const [rows] = await together(insertOutbound(tx, tenantId, drafts), enqueueSends(tx, sends))
  const views = new Map(rows.map((row) => [row.id, viewMessage(row)]))
  return {
    results: items.map((item) => (item instanceof PalomarError ? item : (views.get(item.id) as Message))),
  }
}

/** Finds each recipient's conversation; account by account in one order, so that two bulks cannot lock each other out. */
async function draftAll(
  tx: PoolClient,
  tenantId: string,
  items: readonly Item[],
  async: boolean,
): Promise<NewOutbound[]> {
  const drafts = new Map<string, NewOutbound>()
  const accounts = [...new Set(items.map(({ sender }) => sender.accountId))].sort()
  for (const accountId of accounts) {
    const own = items.filter(({ sender }) => sender.accountId === accountId)
    const people = own.map(({ to }) => to)
    const identities = own[0]?.sender.identities ?? new Identities()
    const conversations = await resolveConversations(tx, { tenantId, accountId }, people, identities)
    own.forEach(({ id, input, sender, context }, n) => {
      const conversation = conversations[n]
      if (!conversation) throw new Error('a recipient has no conversation')
      drafts.set(id, {
        ...{ id, sender, conversation, context },
        content: { type: input.type, text: input.text },
        metadata: input.metadata ?? null,
        correlationId: async ? uuidv7() : null,
        sendAt: input.send_at ? new Date(input.send_at) : null,
      })
    })
  }
  // In the order of the request, which is the order of the lane.
  return items.flatMap(({ id }) => drafts.get(id) ?? [])
}
