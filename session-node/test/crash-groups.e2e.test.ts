/** What comes by sender keys, and what the account's own phone writes, with a node killed over it. */
import { afterEach, describe, expect, it } from 'vitest'
import { holds, killAt, settled } from './killing.ts'
import { newId, PHONE, Stage } from './stage.ts'

const stages: Stage[] = []
afterEach(() => Promise.all(stages.splice(0).map((stage) => stage.strike())))

describe.each(['pn', 'lid'] as const)('killed over a commit, addressing by %s', (addressing) => {
  const setStage = async () => {
    const stage = await Stage.set({ addressing })
    stages.push(stage)
    const { simulator } = stage
    const node = await stage.pairedNode()
    const bo = simulator.addContact({ name: 'Bo' })
    const eva = simulator.addContact({ name: 'Eva' })
    const group = simulator.createGroup({ owner: bo.phone, members: [PHONE, eva.phone] }).jid
    const inGroup = (type: string) =>
      holds(({ attrs, enc_type }) => attrs.from === group && enc_type === type)
    const write = async (text: string) => {
      const { ids } = await simulator.contactSend({ phone: bo.phone, to: group, text })
      return ids
    }
    return { stage, simulator, node, bo, eva, group, inGroup, write }
  }

  it.each(['pkmsg', 'skmsg'])("a group's first message, at its %s", { timeout: 60_000 }, async (type) => {
    const { stage, simulator, node, bo, eva, group, inGroup, write } = await setStage()
    const killed = killAt(stage, node, inGroup(type))
    const ids = await write('first')
    await killed

    const second = await stage.startNode()
    const report = await untilTold(stage, ids)
    expect(report).toMatchObject([
      {
        from_me: false,
        chat: { jid: group },
        sender: { jid: addressing === 'pn' ? bo.jid : bo.lid, pn: bo.phone },
        push_name: 'Bo',
        content: { type: 'text', text: { body: 'first' } },
      },
    ])
    await stage.active()
    // the sender key goes on, and ours reaches both
    await untilTold(stage, await write('second'))
    const id = newId()
    await second.send({ id, to: { jid: group }, content: { type: 'text', text: { body: 'hello, group' } } })
    for (const { phone } of [bo, eva]) {
      await expect
        .poll(() => simulator.received({ phone }).find((each) => each.id === id))
        .toMatchObject({ chat: group, text: 'hello, group', times: 1 })
    }
    await expectNothingLeft(stage)
  })

  it('a later message of a group', { timeout: 60_000 }, async () => {
    const { stage, node, inGroup, write } = await setStage()
    await untilTold(stage, await write('first'))
    const killed = killAt(stage, node, inGroup('skmsg'))
    const ids = await write('second')
    await killed
    // and more wait for the next node
    ids.push(...(await write('third')))

    await stage.startNode()
    expect((await untilTold(stage, ids)).map(({ content }) => content)).toEqual([
      { type: 'text', text: { body: 'second' } },
      { type: 'text', text: { body: 'third' } },
    ])
    await stage.active()
    await expectNothingLeft(stage)
  })

  it.each(['a person', 'a group'])('what the phone wrote to %s', { timeout: 60_000 }, async (whom) => {
    const { stage, simulator, node, bo, group } = await setStage()
    const own = holds(({ attrs }) => attrs.recipient !== undefined || attrs.from === group)
    const killed = killAt(stage, node, own)
    const to = whom === 'a group' ? group : bo.phone
    const { ids } = await simulator.phoneSend({ phone: PHONE, to, text: 'from my phone' })
    await killed

    await stage.startNode()
    expect(await untilTold(stage, ids)).toMatchObject([
      {
        origin: 'phone',
        from_me: true,
        chat: { jid: whom === 'a group' ? group : addressing === 'pn' ? bo.jid : bo.lid },
        sender: { pn: PHONE },
        content: { type: 'text', text: { body: 'from my phone' } },
      },
    ])
    await stage.active()
    await untilTold(stage, (await simulator.phoneSend({ phone: PHONE, to, text: 'and again' })).ids)
    await expectNothingLeft(stage)
  })

  it('a message in the inbox that no event tells of', { timeout: 60_000 }, async () => {
    const { stage, simulator, node, bo, group, inGroup, write } = await setStage()
    await untilTold(stage, (await simulator.phoneSend({ phone: PHONE, to: bo.phone, text: 'mine' })).ids)
    const killed = killAt(stage, node, inGroup('skmsg'))
    const [theirs] = await write('first')
    await killed
    // as if their events had been the next commit's; WhatsApp does not bring the phone's again
    stage.orchestrator.forgetMessages()
    simulator.refuseLogins({ jid: PHONE, code: 503, times: 1 })

    await stage.startNode()
    const told = () => stage.orchestrator.eventsOf('message')
    await stage.orchestrator.until(() => told().length >= 2, 'both')
    expect(stage.states.map(({ state }) => state)).not.toContain('active')
    expect(told()).toMatchObject([
      { from_me: true, origin: 'phone', chat: { pn: bo.phone }, content: { text: { body: 'mine' } } },
      { id: theirs, from_me: false, chat: { jid: group }, content: { text: { body: 'first' } } },
    ])
    await stage.active()
    await expectNothingLeft(stage)
  })
})

/**
 * The reports of these messages, each once. A stanza that comes again may be reported again, for the orchestrator knows
 * a message by its key: then it must be told in the same words.
 */
const untilTold = async ({ orchestrator }: Stage, ids: string[]) => {
  const last = ids.at(-1)
  await orchestrator.untilEvent('message', ({ id }) => id === last)
  return ids.map((id) => {
    const [report, ...again] = orchestrator.eventsOf('message').filter((event) => event.id === id)
    if (!report) throw new Error(`${id} was never reported`)
    const { chat, sender, from_me, content } = report
    for (const other of again) expect(other).toMatchObject({ chat, sender, from_me, content })
    return report
  })
}

const expectNothingLeft = async (stage: Stage) => {
  const { orchestrator, simulator } = stage
  await orchestrator.until(() => settled(stage), 'all settled')
  expect(orchestrator.eventsOf('message').filter(({ content }) => content.type !== 'text')).toEqual([])
  expect(simulator.counters()).toMatchObject({ retries: 0, violations: [] })
  expect(simulator.counters().receipts.retry).toBeUndefined()
}
