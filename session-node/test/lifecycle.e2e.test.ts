import { afterEach, describe, expect, it, vi } from 'vitest'
import { ProblemError } from './node-process.ts'
import { newId, PHONE, Stage, textTo } from './stage.ts'

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

it('ends when its parent does before it has said that it knows the port', async () => {
  const stage = await setStage()
  const node = await stage.startNode({ abandon: true })
  expect(await node.exited).toBe(5)
  expect(stage.orchestrator.events).toEqual([])
})

describe('pairing', () => {
  it('works by code', async () => {
    const stage = await setStage()
    const node = await stage.startNode()
    const { code, expires_at } = await node.pairingCode(PHONE)
    expect(Date.parse(expires_at)).toBeGreaterThan(Date.now())
    // half-made credentials are nobody's business
    expect(stage.orchestrator.creds).toBeNull()
    await stage.simulator.enterPairingCode({ phone: PHONE, code, name: 'Ana' })
    await stage.active()
    expect(await node.session()).toMatchObject({ me: { pn: PHONE } })
    expect(await problemOf(node.qr())).toMatchObject({ code: 'already_paired', status: 409 })
    expect(await problemOf(node.pairingCode(PHONE))).toMatchObject({ code: 'already_paired' })
  })

  it('reports the QR and shows it in GET /session', async () => {
    const stage = await setStage()
    const node = await stage.startNode()
    const qr = await node.qr()
    expect(await stage.orchestrator.untilEvent('qr')).toMatchObject(qr)
    expect(await node.session()).toEqual({ state: 'waiting_qr', qr })
  })

  it('is over after a logout, and may start again with a new identity', { timeout: 60_000 }, async () => {
    const stage = await setStage()
    const node = await stage.pairedNode()
    const first = stage.orchestrator.creds
    await node.logout()
    expect(stage.state).toBe('logged_out')
    expect(stage.simulator.counters().devices).toEqual([])
    expect(stage.orchestrator.keys.size).toBe(0)
    expect(await problemOf(node.send(textTo('34600000002', 'hello')))).toMatchObject({
      code: 'not_connected',
    })

    const { text } = await node.qr()
    await stage.simulator.scanQr({ qr: text, phone: PHONE, name: 'Ana' })
    await stage.active()
    expect(stage.orchestrator.creds).not.toBe(first)
    const contact = stage.simulator.addContact({})
    await node.send(textTo(contact.phone, 'as somebody new'))
    expect(stage.simulator.counters().violations).toEqual([])
  })
})

describe('sending', () => {
  it('answers a repeated id without sending, also from a new node', { timeout: 60_000 }, async () => {
    const stage = await setStage()
    const node = await stage.pairedNode()
    const contact = stage.simulator.addContact({})
    const command = textTo(contact.phone, 'once')
    const [first, joined] = await Promise.all([node.send(command), node.send(command)])
    expect(joined).toEqual(first)
    expect(await node.send(command)).toEqual({ ...first, repeated: true })
    await stage.orchestrator.untilEvent('ack', ({ id }) => id === command.id)
    await node.kill()
    const next = await stage.startNode()
    await stage.active()
    expect(await next.send(command)).toMatchObject({ id: command.id, repeated: true })
    expect(stage.simulator.received({ phone: contact.phone })).toMatchObject([{ id: command.id, times: 1 }])
  })

  it('quotes, resolves, and refuses what it should', { timeout: 60_000 }, async () => {
    const stage = await setStage()
    const node = await stage.pairedNode()
    const contact = stage.simulator.addContact({})
    const incoming = await stage.simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'question' })
    const question = await stage.orchestrator.untilEvent('message')
    const id = newId()
    await node.send({
      ...textTo(contact.phone, 'answer', id),
      context: { message_id: incoming.ids[0] ?? '', from_me: false, raw: question.raw },
    })
    expect(await problemOf(node.send({ ...textTo('34999999999', 'nobody'), resolve: true }))).toMatchObject({
      code: 'recipient_not_found',
      status: 422,
    })
    expect(await problemOf(node.send({ ...textTo('34999999999', ''), resolve: true }))).toMatchObject({
      code: 'invalid_request',
    })
    expect(await problemOf(node.request('GET', '/health', undefined, 'wrong'))).toMatchObject({ status: 401 })
    expect(await problemOf(node.request('GET', '/nothing'))).toMatchObject({ code: 'not_found' })
    expect(await problemOf(node.request('POST', '/messages', 'x'.repeat(3_000_000)))).toMatchObject({
      status: 413,
    })
  })
})

describe('the orchestrator', () => {
  it('fences a node off: it ends, and what it holds is not stored', { timeout: 60_000 }, async () => {
    const stage = await setStage()
    const first = await stage.pairedNode()
    const second = await stage.startNode()
    expect(await first.exited).toBe(3)
    await stage.active()
    const contact = stage.simulator.addContact({})
    const { ids } = await stage.simulator.contactSend({
      phone: contact.phone,
      to: PHONE,
      text: 'who is there?',
    })
    await stage.orchestrator.untilEvent('message', ({ id }) => id === ids[0])
    expect((await second.health()).generation).toBe(2)
    expect(stage.simulator.counters()).toMatchObject({ retries: 0, violations: [] })
  })

  it('may be away: the socket stays, nothing is receipted, all is stored when it is back', {
    timeout: 60_000,
  }, async () => {
    const stage = await setStage()
    const { orchestrator, simulator } = stage
    const node = await stage.pairedNode()
    const contact = simulator.addContact({})
    await simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'before' })
    await orchestrator.untilEvent('message')
    const connects = simulator.counters().devices[0]?.connects
    await vi.waitFor(() => expect(simulator.counters().receipts.delivered).toBe(1))

    orchestrator.away = true
    const { ids } = await simulator.contactSend({
      phone: contact.phone,
      to: PHONE,
      text: 'away {n}',
      count: 20,
    })
    while ((await node.health()).commits.pending < 20) await new Promise(setImmediate)
    expect(simulator.counters().receipts.delivered).toBe(1)
    expect(orchestrator.eventsOf('message')).toHaveLength(1)

    orchestrator.away = false
    await orchestrator.until(() => orchestrator.eventsOf('message').length === 21, '20 more messages')
    expect(
      orchestrator
        .eventsOf('message')
        .slice(1)
        .map(({ id }) => id),
    ).toEqual(ids)
    expect(simulator.counters().devices[0]?.connects).toBe(connects)
    expect(simulator.counters().retries).toBe(0)
  })

  it('too far behind makes the node leave WhatsApp, and come back by itself', {
    timeout: 60_000,
  }, async () => {
    const stage = await setStage()
    const { orchestrator, simulator } = stage
    orchestrator.settings.max_pending_bytes = 512 * 1024
    const node = await stage.pairedNode()
    const contact = simulator.addContact({})
    // with the second, all keys of this chat are in the node: one that has to ask for keys writes nothing meanwhile
    await simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'before {n}', count: 2 })
    await orchestrator.until(() => orchestrator.eventsOf('message').length === 2, 'both messages')

    orchestrator.away = true
    const { ids } = await simulator.contactSend({
      phone: contact.phone,
      to: PHONE,
      text: `away {n} ${'x'.repeat(10_000)}`,
      count: 60,
    })
    while ((await node.health()).state !== 'reconnecting') await new Promise(setImmediate)
    expect(await problemOf(node.send(textTo(contact.phone, 'now?')))).toMatchObject({ code: 'overloaded' })
    expect(simulator.counters().devices[0]).toMatchObject({ connected: false })

    orchestrator.away = false
    await orchestrator.untilMessages(ids, 30_000)
    await stage.active()
    expect(simulator.counters().retries).toBe(0)
  })

  it('keys that are not to be had for long make the node leave WhatsApp, and come back by itself', {
    timeout: 90_000,
  }, async () => {
    const stage = await setStage()
    const { orchestrator, simulator } = stage
    const node = await stage.pairedNode()
    const stranger = simulator.addContact({})
    orchestrator.away = true
    // the first message of a stranger takes one of our pre-keys, which is in the database
    const { ids } = await simulator.contactSend({
      phone: stranger.phone,
      to: PHONE,
      text: 'hello {n}',
      count: 3,
    })
    await vi.waitFor(async () => expect((await node.health()).state).toBe('reconnecting'), {
      timeout: 60_000,
    })
    expect(simulator.counters().devices[0]).toMatchObject({ connected: false })

    orchestrator.away = false
    await orchestrator.untilMessages(ids)
    await stage.active()
    expect(orchestrator.eventsOf('state')).toContainEqual(
      expect.objectContaining({ state: 'reconnecting', reason: 'keys_pending' }),
    )
    expect(simulator.counters().retries).toBe(0)
  })

  it('refusing a commit ends the node', { timeout: 60_000 }, async () => {
    const stage = await setStage()
    const node = await stage.pairedNode()
    stage.orchestrator.refuseWith = 400
    const contact = stage.simulator.addContact({})
    await stage.simulator.contactSend({ phone: contact.phone, to: PHONE, text: 'hello' })
    expect(await node.exited).toBe(4)
  })
})

it('on SIGTERM a node writes what it has and ends with 0', { timeout: 60_000 }, async () => {
  const stage = await setStage()
  const node = await stage.pairedNode()
  const contact = stage.simulator.addContact({})
  const command = textTo(contact.phone, 'last words')
  await node.send(command)
  expect(await node.kill('SIGTERM')).toBe(0)
  // the ack waited for company: it would have gone a quarter of a second later
  expect(stage.orchestrator.eventsOf('ack').map(({ id }) => id)).toContain(command.id)
  expect(stage.simulator.counters().devices[0]).toMatchObject({ connected: false })
})
