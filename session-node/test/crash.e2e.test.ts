import { afterEach, describe, expect, it, vi } from 'vitest'
import { holds, killAt, settled } from './killing.ts'
import { PHONE, Stage, textTo } from './stage.ts'

const stages: Stage[] = []
afterEach(() => Promise.all(stages.splice(0).map((stage) => stage.strike())))

const setStage = async (options?: Parameters<typeof Stage.set>[0]): Promise<Stage> => {
  const stage = await Stage.set(options)
  stages.push(stage)
  return stage
}

const encrypted = (type: string) => holds(({ enc_type }) => enc_type === type)
const delivered = (stage: Stage) => stage.simulator.counters().receipts.delivered ?? 0

describe('a node killed after a commit was applied and before it was answered', () => {
  it.each(['pn', 'lid'] as const)(
    'loses no first message of a contact (pkmsg), %s',
    { timeout: 60_000 },
    async (addressing) => {
      const stage = await setStage({ addressing })
      const { simulator, orchestrator } = stage
      const node = await stage.pairedNode()
      const contact = simulator.addContact({ name: 'Bo' })
      const killed = killAt(stage, node, encrypted('pkmsg'))
      const { ids } = await simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'first' })
      await killed
      expect(delivered(stage)).toBe(0)

      await stage.startNode()
      await expectMessage(stage, ids[0], 'first')
      await stage.active()
      // and the ratchet goes on: an answer can be read, and more can be received
      const [sender] = stage.nodes.slice(-1)
      await sender?.send(textTo(contact.phone, 'answer'))
      expect(simulator.received({ phone: contact.phone })).toMatchObject([{ text: 'answer', times: 1 }])
      const more = await simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'second' })
      await expectMessage(stage, more.ids[0], 'second')
      expect(simulator.counters()).toMatchObject({ retries: 0, violations: [] })
      expect(orchestrator.eventsOf('message').every(({ content }) => content.type === 'text')).toBe(true)
    },
  )

  it('loses no message of a running conversation (msg)', { timeout: 60_000 }, async () => {
    const stage = await setStage()
    const { simulator } = stage
    const node = await stage.pairedNode()
    const contact = simulator.addContact({ name: 'Bo' })
    await simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'first' })
    await stage.orchestrator.untilEvent('message')
    await node.send(textTo(contact.phone, 'from now on both have a session'))

    const killed = killAt(stage, node, encrypted('msg'))
    const { ids } = await simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'second' })
    await killed
    await stage.startNode()
    await expectMessage(stage, ids[0], 'second')
    await stage.active()
    await stage.orchestrator.until(() => settled(stage), 'all settled')
    expect(simulator.counters()).toMatchObject({ retries: 0, violations: [] })
  })

  it('finds a message in the inbox that has no event yet', {
    timeout: 60_000,
  }, async () => {
    const stage = await setStage()
    const { simulator, orchestrator } = stage
    const node = await stage.pairedNode()
    const contact = simulator.addContact({ name: 'Bo' })
    // the message and its inbox record come in one commit: cut the event off, as if it had been the next one's
    const killed = killAt(stage, node, encrypted('pkmsg'))
    const { ids } = await simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'hello' })
    await killed
    orchestrator.forgetMessages()

    await stage.startNode()
    const replayed = await orchestrator.untilEvent('message', ({ id }) => id === ids[0])
    expect(replayed).toMatchObject({
      content: { type: 'text', text: { body: 'hello' } },
      settles: [expect.any(String)],
    })
    await stage.active()
    await orchestrator.until(() => settled(stage), 'all settled')
  })

  it('loses no ticks: what is not stored is not acknowledged', { timeout: 60_000 }, async () => {
    const stage = await setStage()
    const { simulator, orchestrator } = stage
    const node = await stage.pairedNode()
    const contact = simulator.addContact({ name: 'Bo', behaviour: { reads: true } })
    const command = textTo(contact.phone, 'read me')
    // the message leaves, and nothing that comes back can be stored
    orchestrator.onApplied = (commit) => {
      if (commit.events.some(({ type }) => type === 'prepared')) orchestrator.away = true
    }
    await node.send(command)
    // the ack and both ticks
    await vi.waitFor(async () => expect((await node.health()).commits.pending).toBeGreaterThanOrEqual(3))
    await node.kill()
    expect(orchestrator.eventsOf('receipt')).toEqual([])

    orchestrator.away = false
    await stage.startNode()
    for (const status of ['delivered', 'read'] as const) {
      await orchestrator.untilEvent(
        'receipt',
        (event) => event.ids.includes(command.id) && event.status === status,
      )
    }
  })

  it('loses no history', { timeout: 60_000 }, async () => {
    const stage = await setStage()
    const { simulator, orchestrator } = stage
    const node = await stage.startNode()
    const killed = killAt(
      stage,
      node,
      holds(({ attrs }) => attrs.category === 'peer'),
    )
    const { text } = await node.qr()
    await simulator.scanQr({ qr: text, phone: PHONE, name: 'Ana' })
    await killed
    expect([...orchestrator.inbox.values()].some(({ settled }) => !settled)).toBe(true)

    await stage.startNode()
    await stage.active()
    await orchestrator.until(() => settled(stage), 'the history notification settled')
    expect(simulator.counters()).toMatchObject({ retries: 0, violations: [] })
  })

  it('never shows a message twice, nor an unreadable one, when it dies between ratchet and ack', {
    timeout: 60_000,
  }, async () => {
    const stage = await setStage()
    const { simulator, orchestrator } = stage
    const node = await stage.pairedNode()
    const contact = simulator.addContact({ name: 'Bo' })
    await node.send(textTo(contact.phone, 'one'))
    const command = textTo(contact.phone, 'two')
    const killed = killAt(stage, node, (commit) => commit.events.some(({ type }) => type === 'prepared'))
    const lost = node.send(command).catch((error: unknown) => error)
    await killed
    expect(await lost).toBeInstanceOf(Error)
    // the bytes wait for the commit's answer: nothing has left
    expect(simulator.received({ phone: contact.phone }).map(({ text }) => text)).toEqual(['one'])

    const second = await stage.startNode()
    await stage.active()
    const prepared = orchestrator.eventsOf('prepared').find(({ id }) => id === command.id)
    expect(await second.send({ ...command, raw: prepared?.raw })).toMatchObject({ repeated: false })
    await second.send(textTo(contact.phone, 'three'))
    expect(simulator.received({ phone: contact.phone })).toMatchObject([
      { text: 'one', times: 1 },
      { text: 'two', times: 1 },
      { text: 'three', times: 1 },
    ])
    expect(simulator.counters()).toMatchObject({ retries: 0, violations: [] })
  })
})

const expectMessage = async (stage: Stage, id: string | undefined, body: string) => {
  const message = await stage.orchestrator.untilEvent('message', (event) => event.id === id)
  expect(message.content).toEqual({ type: 'text', text: { body } })
}
