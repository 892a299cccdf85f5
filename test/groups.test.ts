import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nodeLister } from '../harness/node-control.ts'
import { type PairedAccount, pairAccount } from '../harness/pairing.ts'
import { type PalomarEvent, until } from '../harness/palomar-client.ts'
import type { Contact } from '../harness/simulator-process.ts'
import { useStack } from './with-stack.ts'

interface Message {
  id: string
  wa_id: string
  conversation_id: string
  direction: string
  origin: string
  from: string
  from_name: string | null
  to: string
  status: string
  text?: { body: string }
}

const messageOf = (event: PalomarEvent) => (event.data as { message?: Message }).message

describe.each(['pn', 'lid'] as const)('groups, own messages and retries, addressing by %s', (addressing) => {
  const running = useStack({ runtime: 'process', addressing })
  let ana: PairedAccount
  let bo: Contact
  let eva: Contact
  let group: string
  let database: Client
  const simulator = () => running.stack.simulator.admin
  const api = () => running.stack.client

  beforeAll(async () => {
    database = new Client(running.stack.databaseUrl)
    await database.connect()
    ana = await pairAccount(running.stack, running.events, 'Ana')
    bo = await simulator().addContact({ name: 'Bo' })
    eva = await simulator().addContact({ name: 'Eva' })
    const members = [ana.phone, eva.phone]
    group = (await simulator().createGroup({ owner: bo.phone, members, subject: 'Doves' })).jid
  })
  afterAll(() => database?.end())

  const eventOf = async (type: string, waId: string | undefined) => {
    const fits = (event: PalomarEvent) => event.type === type && messageOf(event)?.wa_id === waId
    return messageOf(await running.events.waitFor(`${type} of ${waId}`, fits)) as Message
  }
  const stored = async (waIds: string[]) => {
    const { rows } = await database.query<{ wa_id: string; type: string }>(
      'select wa_id, type from message where wa_id = any($1) order by timestamp, id',
      [waIds],
    )
    return rows
  }
  const send = (to: string, body: string) =>
    api().ok<Message>('POST', '/api/messages?queue=true', {
      account_id: ana.id,
      to,
      type: 'text',
      text: { body },
    })
  const killNode = async () => {
    const { installation, dataDir } = running.stack
    const [node] = await nodeLister('process', { installation, dataDir })()
    expect(await node?.kill()).toBe(true)
  }
  const arrivalAt = ({ phone }: Contact, waId: string) =>
    until(
      `${waId} at ${phone}`,
      async () => (await simulator().received(phone)).find(({ id }) => id === waId),
      (arrival) => arrival !== undefined,
    )

  test('a message of a group has its conversation and its author', async () => {
    const { ids } = await simulator().contactSend({ phone: bo.phone, to: group, text: 'coo' })
    const message = await eventOf('message.received', ids[0])
    expect(message).toMatchObject({ from: bo.phone, from_name: 'Bo', to: group, text: { body: 'coo' } })
    const conversation = await api().ok('GET', `/api/conversations/${message.conversation_id}`)
    expect(conversation).toMatchObject({ kind: 'group', jid: group, phone: null, lid: null })
  })

  test('thirty messages of a group over a killed node: each once, in order', async () => {
    const writing = simulator().contactSend({
      phone: bo.phone,
      to: group,
      text: 'row {n}',
      count: 30,
      rate_per_second: 30,
    })
    await running.events.waitFor('the tenth', (event) => messageOf(event)?.text?.body === 'row 10')
    await killNode()
    const { ids } = await writing
    await eventOf('message.received', ids.at(-1))
    expect(await stored(ids)).toEqual(ids.map((wa_id) => ({ wa_id, type: 'text' })))
    expect((await simulator().counters()).receipts).not.toHaveProperty('retry')
  })

  test('a text to the group arrives at each member once', async () => {
    const sent = await send(group, 'hello, group')
    expect(sent).toMatchObject({ status: 'sent', direction: 'outbound', to: group })
    for (const member of [bo, eva]) {
      const arrival = await arrivalAt(member, sent.wa_id)
      expect(arrival).toMatchObject({ chat: group, text: 'hello, group', times: 1, asked: 0 })
    }
    expect(await stored([sent.wa_id])).toHaveLength(1)
  })

  test('what the owner writes on the phone is an outbound message', async () => {
    for (const to of [bo.phone, group]) {
      const { ids } = await simulator().phoneSend({ phone: ana.phone, to, text: 'from my phone' })
      const message = await eventOf('message.sent', ids[0])
      expect(message).toMatchObject({
        direction: 'outbound',
        origin: 'phone',
        status: 'sent',
        from: ana.phone,
        to,
        text: { body: 'from my phone' },
      })
      expect(await stored(ids)).toHaveLength(1)
    }
    const person = await api().ok('GET', `/api/conversations/${bo.phone}?account_id=${ana.id}`)
    expect(person).toMatchObject({ kind: 'person', jid: addressing === 'pn' ? bo.jid : bo.lid })
  })

  describe.each(['a person', 'a group'])('a contact asks again for a message to %s', (whom) => {
    const to = () => (whom === 'a group' ? group : bo.phone)
    /** both sides have written: until then every message would begin the session anew */
    const warmUp = async () => {
      const sent = await send(to(), 'before')
      await arrivalAt(bo, sent.wa_id)
      const { ids } = await simulator().contactSend({ phone: bo.phone, to: ana.phone, text: 'answer' })
      await eventOf('message.received', ids[0])
    }

    test('and gets it', async () => {
      await warmUp()
      await simulator().loseSessions(bo.phone)
      const sent = await send(to(), 'after')
      expect(await arrivalAt(bo, sent.wa_id)).toMatchObject({ text: 'after', times: 1, asked: 1 })
    })

    test('and gets it from a node that never sent it', async () => {
      await warmUp()
      await simulator().loseSessions(bo.phone)
      // the request is kept on its way, so that only the next node gets it
      await simulator().setFaults({ receipt_delay_ms: 600_000, only: [ana.phone] })
      const sent = await send(to(), 'from Postgres')
      await until(
        'the request',
        () => simulator().unreadable(bo.phone),
        (all) => all.some(({ id }) => id === sent.wa_id),
      )
      await simulator().setFaults({})
      await killNode()
      expect(await arrivalAt(bo, sent.wa_id)).toMatchObject({ text: 'from Postgres', times: 1, asked: 1 })
      expect(await stored([sent.wa_id])).toHaveLength(1)
    })
  })

  test('nothing of it was refused, nor left unread', async () => {
    expect((await simulator().counters()).violations).toEqual([])
    for (const { phone } of [bo, eva]) {
      await until(
        `all read by ${phone}`,
        () => simulator().unreadable(phone),
        (all) => all.length === 0,
      )
    }
    const { rows } = await database.query(`select wa_id from message where type = 'undecryptable'`)
    expect(rows).toEqual([])
  })
})
