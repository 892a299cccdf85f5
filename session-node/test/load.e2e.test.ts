import { afterEach, describe, expect, it } from 'vitest'
import { PHONE, Stage, textTo } from './stage.ts'

let stage: Stage | undefined
afterEach(async () => {
  await stage?.strike()
  stage = undefined
})

const COUNT = 100

it('a conversation in which both write from the start can be read by both', { timeout: 60_000 }, async () => {
  stage = await Stage.set()
  const { simulator, orchestrator } = stage
  const node = await stage.pairedNode()
  const contact = simulator.addContact({ name: 'Bo' })
  // Baileys starts a second session with its first send, while the contact still writes in the first
  const incoming = simulator.contactSend({
    phone: contact.phone,
    to: PHONE,
    text: 'in {n}',
    count: 150,
    rate_per_second: 100,
  })
  for (let index = 0; index < 25; index++) await node.send(textTo(contact.phone, `out ${index}`))
  const { ids } = await incoming
  const seen = () => orchestrator.eventsOf('message')
  await orchestrator.until(() => seen().length >= ids.length, 'all messages')
  expect(seen().map(({ id, content }) => `${id} ${content.type}`)).toEqual(ids.map((id) => `${id} text`))
  expect(simulator.unreadable({ phone: contact.phone })).toEqual([])
})

// a key store of any latency, without the lock of sending, loses messages here (two of three of them at 3 ms)
describe.each([
  { latencyMs: 3, addressing: 'pn' },
  { latencyMs: 20, addressing: 'lid' },
] as const)('both ways at once, commits taking $latencyMs ms, $addressing', ({ latencyMs, addressing }) => {
  it('loses nothing and asks for no retry', { timeout: 120_000 }, async () => {
    stage = await Stage.set({ addressing })
    const { simulator, orchestrator } = stage
    const node = await stage.pairedNode()
    orchestrator.latencyMs = latencyMs
    const contact = simulator.addContact({ name: 'Bo' })

    const outgoing = Array.from({ length: COUNT }, (_, index) => textTo(contact.phone, `out ${index}`))
    const [, incoming] = await Promise.all([
      Promise.all(outgoing.map((command) => node.send(command))),
      simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'in {n}', count: COUNT }),
    ])
    const received = () =>
      orchestrator.eventsOf('message').filter(({ content }) => content.type === 'text').length >= COUNT
    await orchestrator.until(received, `${COUNT} messages`, 60_000)
    await orchestrator.until(
      () => orchestrator.eventsOf('receipt').length >= COUNT,
      `${COUNT} delivery receipts`,
      60_000,
    )

    const texts = orchestrator.eventsOf('message').map(({ id }) => id)
    expect(texts).toEqual(incoming.ids)
    expect(simulator.received({ phone: contact.phone }).map(({ id }) => id)).toEqual(
      outgoing.map(({ id }) => id),
    )
    expect(simulator.counters()).toMatchObject({ retries: 0, repeats: 0, violations: [] })
    expect(orchestrator.eventsOf('ack')).toHaveLength(COUNT)
    // group commit: a burst costs few transactions
    expect(orchestrator.commits.length).toBeLessThan(COUNT * 2)
  })
})
