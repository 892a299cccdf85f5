import { expect, it } from 'vitest'
import { personJid } from '../jid.ts'
import type { Stanza } from '../types.ts'
import { type Behaviour, createContact } from './contact.ts'
import { createMemoryServer } from './memory-server.ts'
import { createVirtualDevice } from './virtual-device.ts'

const PN = '5522'
const JID = `${PN}@s.whatsapp.net`

function meeting(behaviour: Partial<Behaviour>, seed = 1) {
  const server = createMemoryServer('pn')
  const others: Stanza[] = []
  const phone = createVirtualDevice(server, server.account('5511'), 0, {
    onOther: (stanza) => others.push(stanza),
  })
  const contact = createContact(server, server.account(PN), { name: 'Bob', behaviour, seed })
  const submitted = () =>
    server.submitted.filter(({ from }) => from === contact.device.device).map((s) => s.stanza)
  return { server, phone, contact, others, submitted }
}

it('a contact that reads, types and answers does it in that order', async () => {
  const { phone, contact, others, submitted } = meeting({ reads: true, types: true, answers: {} })
  const id = await phone.send(JID, { conversation: 'hello' })
  await phone.journal.untilMarked(id, 'read')
  expect(await phone.journal.untilReceived(() => true)).toMatchObject({ text: 'echo: hello', from: JID })
  const steps = submitted().map(({ tag, attrs }) => `${tag} ${attrs.type ?? ''}`.trim())
  expect(steps.slice(0, 5)).toEqual(['receipt', 'receipt read', 'chatstate', 'chatstate', 'message text'])
  expect(others.map(({ content }) => (content as Stanza[])[0]?.tag)).toEqual(['composing', 'paused'])
  expect(contact.account.name).toBe('Bob')
})

it('delays are kept, and an answer of its own replaces the echo', async () => {
  const { phone } = meeting({ reads: 30, answers: { text: 'later', delayMs: 30 } })
  const id = await phone.send(JID, { conversation: 'hello' })
  const answer = await phone.journal.untilReceived((m) => m.text === 'later')
  const { delivered = 0, read = 0 } = await phone.journal.untilMarked(id, 'read')
  // timers may fire a millisecond early against the wall clock
  expect(read - delivered).toBeGreaterThanOrEqual(28)
  expect(answer.at - read).toBeGreaterThanOrEqual(28)
})

it('a silent contact takes messages in and lets nothing out', async () => {
  const { phone, contact, submitted } = meeting({ receipts: false, reads: true, answers: {} })
  await phone.send(JID, { conversation: 'anybody?' })
  expect(await contact.journal.untilReceived(() => true)).toMatchObject({ text: 'anybody?' })
  await contact.device.idle()
  expect(submitted()).toEqual([])
})

it('voice notes are played, reactions are not answered', async () => {
  const { phone, contact } = meeting({ reads: true, played: true, answers: {} })
  const voice = await phone.send(JID, { audioMessage: { ptt: true, seconds: 3 } })
  await phone.journal.untilMarked(voice, 'played')
  await phone.journal.untilReceived((m) => m.text === 'echo: ')
  const key = { remoteJid: JID, id: voice, fromMe: true }
  const reaction = await phone.send(JID, { reactionMessage: { key, text: '👍' } })
  expect(await contact.journal.untilReceived((m) => m.id === reaction)).toMatchObject({
    type: 'reaction',
    text: '👍',
  })
  const text = await phone.send(JID, { conversation: 'end' })
  await phone.journal.untilMarked(text, 'read')
  await phone.journal.untilReceived((m) => m.text === 'echo: end')
  expect(phone.journal.received()).toHaveLength(2)
})

it('sends rows of messages in order, at the rate asked for, numbered', async () => {
  const { phone, contact } = meeting({})
  const started = performance.now()
  const ids = await contact.send({ to: '5511', text: 'no. {n}', count: 20, ratePerSecond: 200 })
  expect(performance.now() - started).toBeGreaterThanOrEqual(94)
  await phone.journal.untilReceived((m) => m.id === ids.at(-1))
  expect(phone.journal.received().map((m) => [m.id, m.text])).toEqual(
    ids.map((id, n) => [id, `no. ${n + 1}`]),
  )
  await phone.idle()
  expect(contact.journal.sent(ids[0] ?? '')).toMatchObject({ to: '5511@s.whatsapp.net', resends: 0 })
})

it('close calls off what waits', async () => {
  const { phone, contact, submitted } = meeting({ reads: 60_000, answers: { delayMs: 60_000 } })
  const row = contact.send({ to: '5511', text: 'slow', count: 2, ratePerSecond: 0.001 })
  await phone.journal.untilReceived((m) => m.text === 'slow')
  await phone.send(JID, { conversation: 'hello' })
  await contact.journal.untilReceived(() => true)
  contact.close()
  expect(await row).toHaveLength(1)
  await contact.device.idle()
  expect(submitted().map((stanza) => stanza.attrs.type)).toEqual(['text', undefined])
})

it('ids follow from seed and phone number', async () => {
  const ids = async (seed: number) => meeting({}, seed).contact.send({ to: '5511', text: 'x', count: 2 })
  expect(await ids(7)).toEqual(await ids(7))
  expect(await ids(7)).not.toEqual(await ids(8))
})

it('behaviour can change between messages', async () => {
  const { server, phone, contact } = meeting({})
  const to = personJid(contact.account, server.addressing())
  const first = await phone.send(to, { conversation: 'one' })
  await phone.journal.untilMarked(first, 'delivered')
  contact.behave({ answers: { text: 'now I talk' } })
  await phone.send(to, { conversation: 'two' })
  await phone.journal.untilReceived((m) => m.text === 'now I talk')
  expect(phone.journal.received()).toHaveLength(1)
})

it('keeps the content of what is more than plain text', async () => {
  const { phone, contact } = meeting({})
  const contextInfo = { stanzaId: 'X', participant: JID }
  await phone.send(JID, { extendedTextMessage: { text: 'plain' } })
  await phone.send(JID, { extendedTextMessage: { text: 'a reply', contextInfo } })
  await contact.journal.untilReceived((m) => m.text === 'a reply')
  const [plain, reply] = contact.received()
  expect(plain).toMatchObject({ type: 'text', text: 'plain' })
  expect(plain?.message).toBeUndefined()
  expect(reply?.message?.extendedTextMessage?.contextInfo).toMatchObject(contextInfo)
})
