import { afterEach, describe, expect, it } from 'vitest'
import { newId, PHONE, Stage, textTo } from './stage.ts'

let stage: Stage | undefined
afterEach(async () => {
  await stage?.strike()
  stage = undefined
})

describe.each(['pn', 'lid'] as const)('the main path, addressed by %s', (addressing) => {
  it('pairs by QR, sends, gets ticks, receives', { timeout: 60_000 }, async () => {
    stage = await Stage.set({ addressing })
    const { simulator, orchestrator } = stage
    const node = await stage.pairedNode()
    expect(await node.session()).toMatchObject({ state: 'active', me: { pn: PHONE, name: 'Ana' } })
    expect(orchestrator.creds).not.toBeNull()

    const contact = simulator.addContact({ name: 'Bo', behaviour: { reads: true } as never })
    const id = newId()
    const sent = await node.send({ ...textTo(contact.phone, 'hello', id), resolve: true })
    expect(sent).toMatchObject({ id, repeated: false, recipient: { pn: contact.phone } })
    await orchestrator.untilEvent(
      'receipt',
      (event) => event.ids.includes(id) && event.status === 'delivered',
    )
    await orchestrator.untilEvent('ack', (event) => event.id === id && event.error === undefined)

    const { ids } = await simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'hi back' })
    const message = await orchestrator.untilEvent('message', (event) => event.id === ids[0])
    expect(message).toMatchObject({
      origin: 'live',
      from_me: false,
      chat: { pn: contact.phone },
      content: { type: 'text', text: { body: 'hi back' } },
    })
    expect(message.chat.lid).toMatch(/^\d+$/)
    await orchestrator.until(
      () => [...orchestrator.inbox.values()].every(({ settled }) => settled),
      'all inbox entries settled',
    )
  })

  it('issues a contact one privacy token, not one a message', { timeout: 60_000 }, async () => {
    stage = await Stage.set({ addressing })
    const { simulator, orchestrator } = stage
    const node = await stage.pairedNode()
    const contact = simulator.addContact({ name: 'Bo' })
    const issued = () => simulator.counters().queries['set privacy'] ?? 0

    await node.send({ ...textTo(contact.phone, 'one'), resolve: true })
    await orchestrator.until(
      () => [...orchestrator.keys.keys()].some((key) => /^tctoken\/\d/.test(key)),
      'the token noted',
    )
    for (const text of ['two', 'three']) await node.send(textTo(contact.phone, text))
    await node.kill()
    const next = await stage.startNode()
    await stage.active()
    // A query of one message leaves before the next message does.
    for (const text of ['four', 'five']) await next.send(textTo(contact.phone, text))
    expect(issued()).toBe(1)
  })
})
