/** One run: people, clients and a nemesis for so many minutes, then peace, and a judgement. */
import { setMaxListeners } from 'node:events'
import { nodeLister } from '../harness/node-control.ts'
import { type PairedAccount, pairAccounts } from '../harness/pairing.ts'
import type { Stack } from '../harness/stack.ts'
import { check, type Verdict } from './checker.ts'
import { collect } from './collect.ts'
import { type Drained, drain } from './drain.ts'
import type { Evidence } from './evidence.ts'
import type { Contact, History } from './history.ts'
import { writeInbound } from './inbound-writer.ts'
import { createNemesis, type Deed } from './nemesis.ts'
import { startWhatIsInError } from './operator.ts'
import { writeOutbound } from './outbound-writer.ts'
import { type Step, schedule } from './schedule.ts'

export interface RunOptions {
  stack: Stack
  seed: number
  minutes: number
  accounts: number
  /** ends it before its time; what was undone by then is undone all the same */
  interrupted: AbortSignal
  say: (line: string) => void
}

export interface Run {
  steps: Step[]
  deeds: readonly Deed[]
  kills: number
  pauses: number
  cuts: number
  /** times that the orchestrator or a node ended by itself */
  crashes: number
  drained: Drained
  evidence: Evidence
  verdict: Verdict
}

const CONTACTS_AN_ACCOUNT = 3
/** a send may be tried many times, a node backs off for a minute, an unfinished request blocks its key for a while */
const DRAIN_MS = 240_000

export async function runChaos(options: RunOptions): Promise<Run> {
  const { stack, seed, minutes, interrupted, say } = options
  const { history, accounts, targets } = await settle(options)
  say(`${accounts.length} accounts are paired; ${minutes} min of seed ${seed} begin`)
  const steps = schedule({ seed, minutes, accounts: accounts.length })
  const nemesis = createNemesis({ stack, targets, listNodes: nodeLister(stack.runtime, stack) })
  const [writing, asking, watching] = [new AbortController(), new AbortController(), new AbortController()]
  // Every writer listens to it.
  setMaxListeners(0, writing.signal)
  const stop = () => {
    writing.abort()
    asking.abort()
    watching.abort()
  }
  interrupted.addEventListener('abort', stop, { once: true })
  const chats = accounts.flatMap(({ contacts, ...account }) =>
    contacts.map((contact) => ({ contact, account })),
  )
  const people = writeInbound({ admin: stack.simulator.admin, history, chats, seed, signal: writing.signal })
  const clients = writeOutbound({
    client: stack.client,
    history,
    accounts,
    seed,
    signal: writing.signal,
    giveUp: asking.signal,
  })
  const operator = startWhatIsInError(stack.client, watching.signal)
  try {
    const failed = Promise.all([people, clients, operator]).then(() => new Promise<never>(() => undefined))
    await Promise.race([nemesis.run(steps, interrupted), failed])
  } finally {
    writing.abort()
    // Ctrl-C reaches the simulator as well, which then cannot be told anything.
    await nemesis.heal().catch((error: unknown) => {
      if (!interrupted.aborted) throw error
    })
  }
  interrupted.throwIfAborted()
  await people
  say(
    `healed after ${nemesis.kills} kills, ${nemesis.pauses} pauses, ${nemesis.cuts} cuts; waiting for the rest`,
  )
  const late = setTimeout(() => asking.abort(), DRAIN_MS)
  await clients
  const drained = await drain(stack, DRAIN_MS)
  clearTimeout(late)
  watching.abort()
  const starts = await operator
  if (starts > 0) say(`${starts} times a session in error was started by hand`)
  const evidence = await collect(stack.databaseUrl, stack.simulator.admin, history)
  const { kills, pauses, cuts, deeds } = nemesis
  const crashes = nemesis.crashes + evidence.crashes.length
  return { steps, deeds, kills, pauses, cuts, crashes, drained, evidence, verdict: check(evidence) }
}

/** Pairs the accounts and invites their contacts, one of whom knows all accounts. */
async function settle({ stack, accounts: n }: RunOptions) {
  const paired = await pairAccounts(stack, n)
  paired.sort((a, b) => (a.name < b.name ? -1 : 1))
  const meet = async (reads: boolean): Promise<Contact> => {
    const { phone, lid } = await stack.simulator.admin.addContact({ behaviour: { reads } })
    return { phone, lid, reads }
  }
  const shared = await meet(true)
  const accounts: { id: string; phone: string; contacts: Contact[] }[] = []
  for (const { id, phone } of paired) {
    const contacts = [shared]
    for (let k = 0; k < CONTACTS_AN_ACCOUNT; k++) contacts.push(await meet(k % 2 === 0))
    accounts.push({ id, phone, contacts })
  }
  const history: History = {
    accounts: accounts.map(({ id }) => id),
    contacts: [...new Set(accounts.flatMap(({ contacts }) => contacts))],
    inbound: [],
    outbound: [],
  }
  return { history, accounts, targets: await Promise.all(paired.map((account) => targetOf(stack, account))) }
}

async function targetOf({ client }: Stack, { id, jid }: PairedAccount) {
  const session = await client.ok<{ id: string }>('GET', `/api/accounts/${id}/session`)
  return { sessionId: session.id, jid }
}
