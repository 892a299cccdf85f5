import type { BaileysEventMap } from '@whiskeysockets/baileys'
import { expect, it } from 'vitest'
import { nodeEvent } from '../../contract/index.ts'
import { historyReportsOf } from './history-report.ts'
import { Identities } from './identities.ts'

const context = { me: { jid: '34600000001@s.whatsapp.net', pn: '34600000001' }, identities: new Identities() }
const chatJid = '34600000002@s.whatsapp.net'
const message = (index: number, text = 'x') => ({
  key: { remoteJid: chatJid, id: `M${index}`, fromMe: index % 2 === 0 },
  message: { conversation: text },
  messageTimestamp: 1_700_000_000 + index,
})
const history = (messages: unknown[], chats: unknown[] = []) =>
  ({
    chats,
    contacts: [{ id: chatJid, name: 'Bo' }],
    messages,
  }) as unknown as BaileysEventMap['messaging-history.set']

it('splits a sync into parts that fit the contract, chats first', () => {
  const messages = Array.from({ length: 450 }, (_, index) => message(index))
  const reports = [
    ...historyReportsOf(history(messages, [{ id: chatJid, lidJid: '1000000002@lid' }]), context),
  ]
  expect(reports.map(({ chats, messages }) => [chats.length, messages.length])).toEqual([
    [1, 0],
    [0, 200],
    [0, 200],
    [0, 50],
  ])
  expect(reports[0]?.chats[0]).toEqual({
    address: { jid: chatJid, pn: '34600000002', lid: '1000000002' },
    name: 'Bo',
  })
  expect(reports.every((report) => nodeEvent.safeParse(report).success)).toBe(true)
  expect(reports[1]?.messages.every(({ origin }) => origin === 'history')).toBe(true)
})

it('keeps parts small, and leaves out what the contract cannot carry', () => {
  const large = Array.from({ length: 4 }, (_, index) => message(index, 'y'.repeat(600_000)))
  const broken = { ...message(9), key: { remoteJid: chatJid, id: 'x'.repeat(200) } }
  const reports = [...historyReportsOf(history([...large, broken]), context)]
  expect(reports.map(({ messages }) => messages.length)).toEqual([1, 1, 1, 1])
})
