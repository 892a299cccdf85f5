/**
 * The clients of the API. A good client repeats a request that had no answer, or a failure of the server's, with the
 * same Idempotency-Key: so that what was accepted is known in the end, whatever died meanwhile.
 */
import type { Answer, PalomarClient } from '../harness/palomar-client.ts'
import type { Contact, History, Outbound } from './history.ts'
import { type Pace, pace } from './pace.ts'

export interface OutboundOptions {
  client: PalomarClient
  history: History
  accounts: { id: string; contacts: Contact[] }[]
  seed: number
  /** the end of writing; what was asked is still asked again until it is answered */
  signal: AbortSignal
  /** the end of asking */
  giveUp: AbortSignal
}

const BULK = 5
/** longer than the API lets a synchronous send wait */
const PATIENCE_MS = 20_000

/** Two clients an account, one that waits for each ack and one that does not. Resolves when all is answered. */
export async function writeOutbound(options: OutboundOptions): Promise<void> {
  await Promise.all(options.accounts.flatMap((_, n) => [syncClient(options, n), asyncClient(options, n)]))
}

async function syncClient({ signal, ...options }: OutboundOptions, n: number): Promise<void> {
  const own = pace(options.seed, `sync ${n}`, signal)
  for (let serial = 1; await own.wait(own.between(300, 2_500)); serial++)
    await ask(options, own, 'sync', drafts(options, own, n, 'sync', serial, 1))
}

async function asyncClient({ signal, ...options }: OutboundOptions, n: number): Promise<void> {
  const own = pace(options.seed, `async ${n}`, signal)
  for (let serial = 1; await own.wait(own.between(200, 2_000)); serial++) {
    const mode = own.random() < 0.2 ? 'bulk' : 'async'
    await ask(options, own, mode, drafts(options, own, n, mode, serial, mode === 'bulk' ? BULK : 1))
  }
}

function drafts(
  { accounts }: Pick<OutboundOptions, 'accounts'>,
  { of }: Pace,
  n: number,
  mode: Outbound['mode'],
  serial: number,
  count: number,
): Outbound[] {
  const account = accounts[n]
  if (!account) throw new Error(`no account ${n}`)
  return Array.from({ length: count }, (_, place) => ({
    accountId: account.id,
    contact: of(account.contacts).phone,
    text: `out ${n}.${mode}.${serial}.${place}`,
    mode,
    key: `${n}-${mode}-${serial}`,
    place,
    askedAt: Date.now(),
    answeredAt: Number.POSITIVE_INFINITY,
    tries: 0,
    outcome: 'unanswered',
    id: undefined,
    code: undefined,
  }))
}

/** One request, repeated until it is answered; what came of it is written into the drafts. */
async function ask(
  { client, history, giveUp }: Pick<OutboundOptions, 'client' | 'history' | 'giveUp'>,
  { between }: Pace,
  mode: Outbound['mode'],
  items: Outbound[],
): Promise<void> {
  history.outbound.push(...items)
  const messages = items.map(({ accountId, contact, text }) => ({
    account_id: accountId,
    to: contact,
    type: 'text',
    text: { body: text },
  }))
  const path = { sync: '/api/messages', async: '/api/messages?async=true', bulk: '/api/messages/bulk' }[mode]
  const body = mode === 'bulk' ? { messages } : messages[0]
  while (!giveUp.aborted) {
    for (const item of items) item.tries++
    const answer = await tryOnce(client, path, body, items[0]?.key ?? '')
    const verdict = answer && judge(answer, items.length)
    if (Array.isArray(verdict)) {
      const answeredAt = Date.now()
      for (const [n, item] of items.entries()) Object.assign(item, verdict[n], { answeredAt })
      return
    }
    for (const item of items) item.code = verdict ?? 'network'
    await new Promise((resolve) => setTimeout(resolve, between(100, 800)))
  }
}

/** undefined: nobody knows what became of it */
async function tryOnce(
  client: PalomarClient,
  path: string,
  body: unknown,
  key: string,
): Promise<Answer<Body> | undefined> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  try {
    return await client.request('POST', path, body, { 'idempotency-key': key }, signal)
  } catch (error) {
    // fetch tells every way in which a connection fails as a TypeError; a time-out is a DOMException
    if (error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError)
      return undefined
    throw error
  }
}

type Verdict = Pick<Outbound, 'outcome' | 'id' | 'code'>
interface Body {
  id?: string
  code?: string
  message?: { id: string }
  message_id?: string
  results?: { status: number; message?: { id: string }; error?: Body }[]
}

/** What each item came to, or why to ask again. */
function judge({ status, body }: Answer<Body>, count: number): Verdict[] | string {
  if (status >= 500 || status === 429 || body.code === 'idempotency_in_progress')
    return body.code ?? String(status)
  if (!body.results) return Array.from({ length: count }, () => verdict(status, body))
  return body.results.map((item) => verdict(item.status, item.error ?? item))
}

/** A message that failed while the client waited was accepted as well: its refusal names it. */
function verdict(status: number, body: Body): Verdict {
  const id = body.id ?? body.message?.id ?? body.message_id
  if (id !== undefined) return { outcome: 'accepted', id, code: body.code }
  return { outcome: 'refused', id, code: body.code ?? String(status) }
}
