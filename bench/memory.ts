/**
 * `npm run bench:memory -- [--runtime process|docker] [--one 1 --some 10 --many 30] [--messages 20] [--settle 60]`
 *
 * What a connected session costs in memory: MB that its processes share with no other (private) and their proportional
 * share (PSS), for few and many sessions, idle, and again after each has sent and received some messages.
 */
import { type PairedAccount, pairAccounts } from '../harness/pairing.ts'
import { benchmark } from './benchmark.ts'
import { leanClient } from './http-client.ts'
import { listenFor } from './listener.ts'
import { createTally } from './tally.ts'
import { settledMemory } from './usage.ts'

const defaults = { one: 1, some: 10, many: 30, messages: 20, settle: 60 }

await benchmark('memory', defaults, async ({ stack, sizes, say, signal, onEnd }) => {
  const limitMs = sizes.settle * 1000
  const idle = []
  const accounts: PairedAccount[] = []
  for (const target of [sizes.one, sizes.some, sizes.many]) {
    signal.throwIfAborted()
    if (target > accounts.length) accounts.push(...(await pairAccounts(stack, target - accounts.length)))
    const report = await settledMemory(stack, limitMs)
    say(`idle: ${JSON.stringify(report)}`)
    idle.push(report)
  }
  const client = leanClient(stack.client)
  onEnd(() => client.close())
  const received = createTally()
  const listener = await listenFor(stack.client, ['message.received'], received.add)
  onEnd(() => listener.close())
  const contact = await stack.simulator.admin.addContact({ name: 'Eva', behaviour: { answers: {} } })
  for (const account of accounts) {
    signal.throwIfAborted()
    for (let n = 0; n < sizes.messages; n++) {
      const message = {
        account_id: account.id,
        to: `+${contact.phone}`,
        type: 'text',
        text: { body: `text ${n}` },
      }
      await client.post('/api/messages', message, 201)
    }
  }
  await received.reaches(accounts.length * sizes.messages)
  const after = await settledMemory(stack, limitMs)
  say(`after ${sizes.messages} messages each way: ${JSON.stringify(after)}`)
  return { idle, after_traffic: after }
})
