import { afterEach, describe, expect, it, vi } from 'vitest'
import { ProblemError } from './node-process.ts'
import { PHONE, Stage, textTo } from './stage.ts'

const stages: Stage[] = []
afterEach(() => Promise.all(stages.splice(0).map((stage) => stage.strike())))

const setStage = async (options?: Parameters<typeof Stage.set>[0]): Promise<Stage> => {
  const stage = await Stage.set(options)
  stages.push(stage)
  return stage
}

const problemOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no problem',
    (error: unknown) => (error instanceof ProblemError ? error.problem : error),
  )

describe('a message that is not acknowledged', () => {
  it.each([
    [463, 'rejected'],
    [479, 'rejected'],
    [429, 'throttled'],
  ])('by error %s is %s', { timeout: 60_000 }, async (code, expected) => {
    const stage = await setStage()
    const node = await stage.pairedNode()
    const contact = stage.simulator.addContact({})
    stage.simulator.setFaults({ ack_error: { code, rate: 1 } })
    const command = textTo(contact.phone, 'no')
    expect(await problemOf(node.send(command))).toMatchObject({ code: expected, wa_code: code })
    await stage.orchestrator.untilEvent('ack', ({ id, error }) => id === command.id && error === code)
    // a refusal is no acknowledgement: the same id may be tried again
    stage.simulator.setFaults({})
    expect(await node.send(command)).toMatchObject({ repeated: false })
  })

  it('in time is unknown; a later try under the same id is the same message', {
    timeout: 60_000,
  }, async () => {
    const stage = await setStage()
    const node = await stage.pairedNode()
    const contact = stage.simulator.addContact({})
    stage.simulator.setFaults({ missing_ack: 1 })
    const command = { ...textTo(contact.phone, 'heard?'), ack_timeout_ms: 300 }
    expect(await problemOf(node.send(command))).toMatchObject({ code: 'ack_timeout', retryable: true })
    const { raw } = await stage.orchestrator.untilEvent('prepared', ({ id }) => id === command.id)
    const arrivals = () => stage.simulator.received({ phone: contact.phone })
    // its bytes may leave after the caller was told that its end is unknown
    await vi.waitFor(() => expect(arrivals()).toMatchObject([{ id: command.id, times: 1 }]), 20_000)
    stage.simulator.setFaults({})
    expect(await node.send({ ...command, raw })).toMatchObject({ repeated: false })
    expect(await node.send(command)).toMatchObject({ repeated: true })
    // twice on the wire, once for the person
    await vi.waitFor(() => expect(arrivals()).toMatchObject([{ id: command.id, times: 2 }]), 20_000)
  })

  it('again and again shows a deaf connection, which is made anew', { timeout: 60_000 }, async () => {
    const stage = await setStage()
    const node = await stage.pairedNode()
    const contact = stage.simulator.addContact({})
    stage.simulator.setFaults({ half_open: 1 })
    for (const body of ['one', 'two']) {
      const command = { ...textTo(contact.phone, body), ack_timeout_ms: 500 }
      expect(await problemOf(node.send(command))).toMatchObject({ code: 'ack_timeout' })
    }
    stage.simulator.setFaults({})
    const { orchestrator } = stage
    const deaf = await orchestrator.until(() => stage.states.find(({ reason }) => reason === 'deaf'), 'deaf')
    expect(deaf.state).toBe('reconnecting')
    await stage.active()
    await node.send(textTo(contact.phone, 'three'))
  })
})

it('what another device of the account sends comes in as sent by the phone', {
  timeout: 60_000,
}, async () => {
  const stage = await setStage()
  await stage.pairedNode()
  const other = await Stage.beside(stage)
  stages.push(other)
  const sender = await other.pairedNode()
  const contact = stage.simulator.addContact({})
  const command = textTo(contact.phone, 'from my other device')
  await sender.send(command)
  expect(await stage.orchestrator.untilEvent('message', ({ id }) => id === command.id)).toMatchObject({
    origin: 'phone',
    from_me: true,
    chat: { pn: contact.phone },
    sender: { pn: PHONE },
    content: { text: { body: 'from my other device' } },
  })
  // the sender's own messages are known: they are no news
  expect(other.orchestrator.eventsOf('message')).toEqual([])
})

it('what came while no node was there is offline, in order, once', { timeout: 60_000 }, async () => {
  const stage = await setStage()
  const node = await stage.pairedNode()
  const contact = stage.simulator.addContact({})
  await node.kill('SIGTERM')
  const { ids } = await stage.simulator.contactSend({
    phone: contact.phone,
    to: PHONE,
    text: '{n}',
    count: 300,
  })
  await stage.startNode()
  await stage.orchestrator.until(() => stage.orchestrator.eventsOf('message').length >= 300, '300 messages')
  const messages = stage.orchestrator.eventsOf('message')
  expect(messages.map(({ id }) => id)).toEqual(ids)
  expect(new Set(messages.map(({ origin }) => origin))).toEqual(new Set(['offline']))
})

describe.each(['pn', 'lid'] as const)('rough weather, %s', (addressing) => {
  it('loses nothing, shows nothing twice, keeps the order', { timeout: 120_000 }, async () => {
    const stage = await setStage({ addressing, seed: 7 })
    const { simulator, orchestrator } = stage
    orchestrator.latencyMs = 2
    await stage.pairedNode()
    const contact = simulator.addContact({ name: 'Bo' })
    simulator.setFaults({ repeat: 0.1, tcp_reset: 0.002, mid_frame: 0.001, jitter_ms: 5, only: [PHONE] })
    // nodes die at every 20th commit, after it was applied and before it was answered
    let commits = 0
    let next: Promise<unknown> = Promise.resolve()
    orchestrator.onApplied = async () => {
      commits += 1
      if (commits % 20 !== 0) return
      await stage.nodes.at(-1)?.kill()
      next = stage.startNode()
    }
    const incoming = simulator.contactSend({
      phone: contact.phone,
      to: PHONE,
      text: 'in {n}',
      count: 200,
      rate_per_second: 100,
    })
    const outgoing = Array.from({ length: 30 }, (_, index) => textTo(contact.phone, `out ${index}`))
    for (const command of outgoing) await untilSent(stage, command)
    const { ids } = await incoming
    simulator.setFaults({})
    await orchestrator.untilMessages(ids, 60_000)
    await next

    const seen = new Set(orchestrator.eventsOf('message').map(({ id }) => id))
    expect([...seen]).toEqual(ids)
    expect(orchestrator.eventsOf('message').filter(({ content }) => content.type !== 'text')).toEqual([])
    const arrived = simulator.received({ phone: contact.phone })
    expect(arrived.map(({ text }) => text)).toEqual(outgoing.map(({ content }) => content.text.body))
    expect(simulator.counters()).toMatchObject({ retries: 0, violations: [] })
    expect(stage.nodes.length).toBeGreaterThan(1)
  })
})

/** as the orchestrator would: the same id and the same bytes until it is acknowledged */
const untilSent = async (stage: Stage, command: ReturnType<typeof textTo>): Promise<void> => {
  for (;;) {
    const raw = stage.orchestrator.raws.get(command.id)
    try {
      await stage.nodes.at(-1)?.send({ ...command, raw, ack_timeout_ms: 1_000 })
      return
    } catch (error) {
      if (error instanceof ProblemError && error.problem.retryable === false) throw error
      // a killed node cannot be asked for long; its successor is on its way
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
