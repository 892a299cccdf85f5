/** Who takes part in the benchmark of sending: accounts, as many raw clients, a contact who answers with receipts. */
import { type PairedAccount, pairAccounts } from '../harness/pairing.ts'
import type { Bench } from './benchmark.ts'
import { type LeanClient, leanClient } from './http-client.ts'
import { listenFor } from './listener.ts'
import { closedLoop } from './load.ts'
import { pairRaw, type RawProcess, startRawProcess } from './raw/process.ts'
import { createTally, type Tally } from './tally.ts'

export type SendBench = Bench<{
  messages: number
  accounts: number
  seconds: number
  soak: number
  rate: number
}>

export interface Parties {
  accounts: PairedAccount[]
  raw: RawProcess
  contact: { phone: string; jid: string }
  client: LeanClient
  /** the news of acks, as the WebSocket tells them */
  acks: Tally
}

const HOUR_MS = 3_600_000

export async function prepare({ stack, sizes, say, onEnd }: SendBench): Promise<Parties> {
  const { admin, waUrl } = stack.simulator
  const raw = startRawProcess(waUrl)
  onEnd(() => raw.stop())
  const client = leanClient(stack.client)
  onEnd(() => client.close())
  say(`pairing ${sizes.accounts} accounts, and as many raw clients`)
  const accounts = await pairAccounts(stack, sizes.accounts)
  for (let n = 0; n < sizes.accounts; n++) await pairRaw(raw, admin, n)
  const acks = createTally()
  const listener = await listenFor(stack.client, ['message.ack'], ({ data }) => {
    if (data.status !== 'sent') throw new Error(`a send failed: ${JSON.stringify(data)}`)
    acks.add()
  })
  onEnd(() => listener.close())
  const contact = await admin.addContact({ name: 'Eva' })
  const parties = { accounts, raw, contact, client, acks }
  // Sessions with the contact exist before anything is measured, on both sides.
  for (const account of accounts) await post(parties, account, 'warm-up', 'sync')
  await raw.call('send', { clients: accounts.map((_, n) => n), inFlight: 1, count: 5, to: contact.jid })
  for (const account of accounts)
    await closedLoop({ inFlight: 1, count: 5 }, () => post(parties, account, 'warm-up', 'sync'))
  return parties
}

type Mode = 'sync' | 'async' | 'later'

/** Throws when it is answered otherwise than it should be. */
export async function post(parties: Parties, account: PairedAccount, body: string, mode: Mode) {
  const message = {
    ...{ account_id: account.id, to: `+${parties.contact.phone}`, type: 'text', text: { body } },
    ...(mode === 'later' ? { send_at: new Date(Date.now() + HOUR_MS).toISOString() } : {}),
  }
  const [path, expected] = mode === 'sync' ? ['/api/messages', 201] : ['/api/messages?async=true', 202]
  await parties.client.post(String(path), message, Number(expected))
}
