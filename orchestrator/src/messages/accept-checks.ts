/** What must be right about a message before it is accepted. Each step gives, for each item, the item or its error. */
import type { Address, ReplyContext } from '@palomar/session-node/contract'
import type { ClientBase } from 'pg'
import { PalomarError } from '../errors.ts'
import type { MessageInput } from './message-input.ts'
import { readQuoted, readSenders, type Sender } from './outbound-rows.ts'
import { parseRecipient } from './recipient.ts'

export interface Item {
  id: string
  input: MessageInput
  sender: Sender
  to: Address
  context: ReplyContext | null
}

/** @param mustBeConnected refuse what would have to wait for the session */
export async function checkItems(
  tx: ClientBase,
  tenantId: string,
  inputs: readonly { id: string; input: MessageInput | PalomarError }[],
  mustBeConnected: boolean,
): Promise<(Item | PalomarError)[]> {
  const addressed = inputs.map(({ id, input }) =>
    input instanceof PalomarError ? input : addressOf(id, input),
  )
  const asked = addressed.filter(isNoError)
  const senders = await readSenders(
    tx,
    tenantId,
    asked.map(({ input }) => input.account_id),
    asked.map(({ to }) => to),
  )
  const items = addressed.map((item) => {
    if (item instanceof PalomarError) return item
    const sender = senderOf(item.input, senders, mustBeConnected)
    return sender instanceof PalomarError ? sender : { ...item, sender, context: null }
  })
  return checkQuotes(tx, items)
}

/** Those that are items. */
export function good(items: readonly (Item | PalomarError)[]): Item[] {
  return items.filter(isNoError)
}

const isNoError = <T>(item: T | PalomarError): item is T => !(item instanceof PalomarError)

function addressOf(id: string, input: MessageInput) {
  try {
    return { id, input, to: parseRecipient(input.to) }
  } catch (error) {
    if (error instanceof PalomarError) return error
    throw error
  }
}

function senderOf(
  input: MessageInput,
  senders: Map<string, Sender>,
  mustBeConnected: boolean,
): Sender | PalomarError {
  const sender = senders.get(input.account_id)
  if (!sender) return new PalomarError('account_not_found', `no account ${input.account_id}`)
  const waits = !mustBeConnected || input.send_at !== undefined
  if (sender.state !== 'active' && !waits) {
    const detail = `the session is ${sender.state}; with queue=true or async=true the message waits for it`
    return new PalomarError('session_not_connected', detail, { extra: { state: sender.state } })
  }
  return sender
}

async function checkQuotes(tx: ClientBase, items: (Item | PalomarError)[]): Promise<(Item | PalomarError)[]> {
  const ids = good(items).flatMap(({ input }) => input.context?.message_id ?? [])
  if (ids.length === 0) return items
  const found = new Map<string, { message_id: string; from?: string }>()
  const accounts = [...new Set(good(items).map(({ input }) => input.account_id))]
  for (const { accountId, id, waId, from } of await readQuoted(tx, accounts, ids)) {
    const context = { message_id: waId, ...(from ? { from } : {}) }
    found.set(`${accountId} ${id}`, context).set(`${accountId} ${waId}`, context)
  }
  return items.map((item) => {
    if (item instanceof PalomarError || !item.input.context) return item
    const context = found.get(`${item.input.account_id} ${item.input.context.message_id}`)
    if (context) return { ...item, context }
    const message = 'no message of this account has that id or wa_id'
    const fields = [{ field: 'context.message_id', message }]
    return new PalomarError('message_not_found', `context.message_id: ${message}`, { fields })
  })
}
