/** What must be right about a message before it is accepted. Each step gives, for each item, the item or its error. */
import type { Address, ReplyContext } from '@palomar/session-node/contract'
import type { ClientBase } from 'pg'
import { PalomarError } from '../errors.ts'
import type { MessageInput } from './message-input.ts'
import { lookUpSenders, type Sender } from './outbound-look-up.ts'
import { readQuoted } from './outbound-rows.ts'
import { parseRecipient } from './recipient.ts'

/** One message that somebody wants sent. */
export interface Wanted {
  /** what it will have */
  id: string
  tenantId: string
  /** an error stays what it is */
  input: MessageInput | PalomarError
  /** its end is told by an event, with a correlation id */
  async: boolean
  /** refused where it would have to wait for the session, unless its own `send_at` says so */
  mustBeConnected: boolean
}

export interface Item {
  id: string
  input: MessageInput
  async: boolean
  sender: Sender
  to: Address
  context: ReplyContext | null
}

/** Reads only, and sends its first statement at once. */
export async function checkItems(
  tx: ClientBase,
  wanted: readonly Wanted[],
): Promise<(Item | PalomarError)[]> {
  const addressed = wanted.map(addressOf)
  const asked = addressed.filter(isNoError)
  const senders = await lookUpSenders(
    tx,
    asked.map(({ tenantId, input, to }) => ({ tenantId, accountId: input.account_id, to })),
  )
  const senderOf = new Map(asked.map(({ id }, n) => [id, senders[n]]))
  const items = addressed.map((one) =>
    one instanceof PalomarError ? one : itemOf(one, senderOf.get(one.id)),
  )
  return checkQuotes(tx, items)
}

/** Those that are items. */
export function good(items: readonly (Item | PalomarError)[]): Item[] {
  return items.filter(isNoError)
}

const isNoError = <T>(item: T | PalomarError): item is T => !(item instanceof PalomarError)

type Addressed = Wanted & { input: MessageInput; to: Address }

function addressOf({ input, ...rest }: Wanted): Addressed | PalomarError {
  if (input instanceof PalomarError) return input
  try {
    return { ...rest, input, to: parseRecipient(input.to) }
  } catch (error) {
    if (error instanceof PalomarError) return error
    throw error
  }
}

function itemOf(
  { id, input, to, async, mustBeConnected }: Addressed,
  sender: Sender | undefined,
): Item | PalomarError {
  if (!sender) return new PalomarError('account_not_found', `no account ${input.account_id}`)
  const waits = !mustBeConnected || input.send_at !== undefined
  if (sender.state !== 'active' && !waits) {
    const detail = `the session is ${sender.state}; with queue=true or async=true the message waits for it`
    return new PalomarError('session_not_connected', detail, { extra: { state: sender.state } })
  }
  return { id, input, async, sender, to, context: null }
}

async function checkQuotes(tx: ClientBase, items: (Item | PalomarError)[]): Promise<(Item | PalomarError)[]> {
  const quoting = good(items).filter(({ input }) => input.context)
  if (quoting.length === 0) return items
  const ids = quoting.flatMap(({ input }) => input.context?.message_id ?? [])
  const accounts = [...new Set(quoting.map(({ sender }) => sender.accountId))]
  const found = new Map<string, { message_id: string; from?: string }>()
  for (const { accountId, id, waId, from } of await readQuoted(tx, accounts, ids)) {
    const context = { message_id: waId, ...(from ? { from } : {}) }
    found.set(`${accountId} ${id}`, context).set(`${accountId} ${waId}`, context)
  }
  return items.map((item) => {
    if (item instanceof PalomarError || !item.input.context) return item
    const context = found.get(`${item.sender.accountId} ${item.input.context.message_id}`)
    if (context) return { ...item, context }
    const message = 'no message of this account has that id or wa_id'
    const fields = [{ field: 'context.message_id', message }]
    return new PalomarError('message_not_found', `context.message_id: ${message}`, { fields })
  })
}
