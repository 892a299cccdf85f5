import { downloadAndProcessHistorySyncNotification, getHistoryMsg } from '@whiskeysockets/baileys'
import { expect, it } from 'vitest'
import { newKeyPair } from '../curve.ts'
import type { Addressing } from '../types.ts'
import { createMemoryServer } from './memory-server.ts'
import { createPhone } from './phone.ts'
import { createVirtualDevice } from './virtual-device.ts'

it.each<Addressing>(['pn', 'lid'])(
  'a companion gets key and history that Baileys can read (%s)',
  async (addressing) => {
    const server = createMemoryServer(addressing)
    const [own, friend] = [server.account('5511'), server.account('5522')]
    const phone = createPhone(server, own)
    const companion = createVirtualDevice(server, own, 1, { identity: newKeyPair() })
    const at = 1_700_000_000_000
    const messages = [
      { id: 'OLD1', text: 'long ago', fromMe: false, at },
      { id: 'OLD2', text: 'indeed', fromMe: true, at: at + 5000 },
    ]
    await phone.welcome(1, { conversations: [{ with: friend, messages, unread: 1 }] })
    const [share, notification] = await companion.journal
      .untilReceived((m) => m.message?.protocolMessage?.historySyncNotification != null)
      .then(() => companion.journal.received())
    expect(share?.message?.protocolMessage?.appStateSyncKeyShare?.keys).toHaveLength(1)
    const sync = getHistoryMsg(notification?.message ?? {})
    if (!sync) throw new Error('no history')
    const history = await downloadAndProcessHistorySyncNotification(sync, {})
    expect(history.lidPnMappings).toContainEqual({ lid: '95511@lid', pn: '5511@s.whatsapp.net' })
    expect(history.lidPnMappings).toContainEqual({ lid: '95522@lid', pn: '5522@s.whatsapp.net' })
    expect(history.messages.map((m) => [m.key?.id, m.message?.conversation])).toEqual([
      ['OLD2', 'indeed'],
      ['OLD1', 'long ago'],
    ])
    expect(history.chats[0]).toMatchObject({ unreadCount: 1 })
    expect(history.chats[0]?.id).toBe(addressing === 'lid' ? '95522@lid' : '5522@s.whatsapp.net')
    await phone.idle()
    const receipts = server.submitted
      .filter(({ from }) => from === companion.device)
      .map((s) => s.stanza.attrs.type)
    expect(receipts).toEqual(['peer_msg', 'peer_msg'])
  },
)
