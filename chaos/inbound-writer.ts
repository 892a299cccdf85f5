/** The people: each chat is one contact who writes numbered texts to one account, sometimes several in a row. */
import type { SimulatorAdmin } from '../harness/simulator-process.ts'
import type { Contact, History } from './history.ts'
import { pace } from './pace.ts'

export interface InboundOptions {
  admin: SimulatorAdmin
  history: History
  chats: { contact: Contact; account: { id: string; phone: string } }[]
  seed: number
  /** the end of writing */
  signal: AbortSignal
}

const BURST = 4

/** Writes until the signal; resolves when the last message has been handed to WhatsApp. */
export async function writeInbound(options: InboundOptions): Promise<void> {
  const { admin, history, chats, seed, signal } = options
  await Promise.all(
    chats.map(async ({ contact, account }, chat) => {
      const { wait, between, random } = pace(seed, `inbound ${chat}`, signal)
      for (let serial = 1; await wait(between(300, 3_000)); serial++) {
        const count = random() < 0.4 ? between(2, BURST) : 1
        const text = `in ${chat}.${serial}.`
        const { ids } = await admin.contactSend({
          phone: contact.phone,
          to: account.phone,
          text: `${text}{n}`,
          count,
        })
        ids.forEach((waId, n) => {
          history.inbound.push({
            waId,
            accountId: account.id,
            contact: contact.phone,
            text: `${text}${n + 1}`,
          })
        })
      }
    }),
  )
}
