/** A stack with one paired account and somebody whom it writes to, for the tests of one file. */
import { beforeAll } from 'vitest'
import { type PairedAccount, pairAccount } from '../harness/pairing.ts'
import type { PalomarClient } from '../harness/palomar-client.ts'
import type { Contact } from '../harness/simulator-process.ts'
import { type Running, useStack } from './with-stack.ts'

export interface RunningWithAccount extends Running {
  ana: PairedAccount
  /** reads what comes */
  contact: Contact
  api(): PalomarClient
  /** the body of a request that sends the contact a text from Ana */
  text(body: string, over?: Record<string, unknown>): Record<string, unknown>
  /** the texts that the contact got, in order */
  arrived(): Promise<(string | undefined)[]>
}

/** Starts them before the tests of the surrounding block. Read the members, and call them, inside tests only. */
export function useAccount(): RunningWithAccount {
  const running = useStack({ runtime: 'process' }) as RunningWithAccount
  beforeAll(async () => {
    running.ana = await pairAccount(running.stack, running.events, 'Ana')
    running.contact = await running.stack.simulator.admin.addContact({
      name: 'Eva',
      behaviour: { reads: true },
    })
  })
  return Object.assign(running, {
    api: () => running.stack.client,
    text: (body: string, over: Record<string, unknown> = {}) => ({
      account_id: running.ana.id,
      to: running.contact.phone,
      type: 'text',
      text: { body },
      ...over,
    }),
    arrived: async () =>
      (await running.stack.simulator.admin.received(running.contact.phone)).map((one) => one.text),
  })
}
