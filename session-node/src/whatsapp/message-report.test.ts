import { proto, type WAMessage } from '@whiskeysockets/baileys'
import { describe, expect, it } from 'vitest'
import { nodeEvent } from '../../contract/index.ts'
import { Identities } from './identities.ts'
import { messageReportOf } from './message-report.ts'

const me = { jid: '34600000001@s.whatsapp.net', pn: '34600000001', lid: '1000000001' }
const identities = new Identities()
identities.learn('34600000003', '1000000003')
const context = { me, identities }

const incoming = (message: proto.IMessage | undefined, about: Partial<WAMessage> = {}): WAMessage =>
  ({
    key: {
      remoteJid: '34600000002@s.whatsapp.net',
      remoteJidAlt: '1000000002@lid',
      id: 'AB12',
      fromMe: false,
      participant: '',
    },
    message,
    messageTimestamp: 1_700_000_000,
    pushName: 'Bo',
    ...about,
  }) as WAMessage

describe('messageReportOf', () => {
  it('maps a text, with all that is known of its sender', () => {
    const report = messageReportOf(incoming({ conversation: 'hi' }), 'live', context)
    expect(report).toMatchObject({
      origin: 'live',
      id: 'AB12',
      from_me: false,
      chat: { jid: '34600000002@s.whatsapp.net', pn: '34600000002', lid: '1000000002' },
      sender: { pn: '34600000002', lid: '1000000002' },
      timestamp: 1_700_000_000,
      push_name: 'Bo',
      content: { type: 'text', text: { body: 'hi' } },
    })
    const raw = Buffer.from(report?.raw ?? '', 'base64')
    expect(proto.Message.decode(raw).conversation).toBe('hi')
    expect(nodeEvent.safeParse(report).success).toBe(true)
  })

  it('takes wrappers off, and finds what is answered', () => {
    const inner = {
      extendedTextMessage: {
        text: 'yes',
        contextInfo: { stanzaId: 'Q1', participant: '34600000001:3@s.whatsapp.net' },
      },
    }
    expect(
      messageReportOf(incoming({ ephemeralMessage: { message: inner } }), 'offline', context),
    ).toMatchObject({
      origin: 'offline',
      content: { type: 'text', text: { body: 'yes' } },
      context: { message_id: 'Q1', from: '34600000001@s.whatsapp.net' },
    })
  })

  it('names what it does not spell out', () => {
    expect(
      messageReportOf(incoming({ imageMessage: { caption: 'look' } }), 'live', context)?.content,
    ).toEqual({
      type: 'unsupported',
      unsupported: { kind: 'imageMessage', caption: 'look' },
    })
    expect(
      messageReportOf(incoming({ extendedTextMessage: { text: '' } }), 'live', context)?.content,
    ).toEqual({
      type: 'unsupported',
      unsupported: { kind: 'extendedTextMessage' },
    })
  })

  it('cuts a text that the contract could not carry', () => {
    const report = messageReportOf(incoming({ conversation: 'x'.repeat(70_000) }), 'live', context)
    expect(nodeEvent.safeParse(report).success).toBe(true)
  })

  it('reports what cannot be read as such', () => {
    const stub = incoming(undefined, {
      messageStubType: proto.WebMessageInfo.StubType.CIPHERTEXT,
      messageStubParameters: ['Bad MAC'],
    })
    expect(messageReportOf(stub, 'live', context)?.content).toEqual({
      type: 'undecryptable',
      undecryptable: { reason: 'Bad MAC' },
    })
  })

  it.each([
    ['protocol messages', { protocolMessage: { type: 0 } }],
    ['sender keys', { senderKeyDistributionMessage: { groupId: 'g' } }],
    ['nothing', undefined],
  ])('shows no %s', (_what, message) => {
    expect(messageReportOf(incoming(message), 'live', context)).toBeUndefined()
  })

  it('knows a group message by its participant', () => {
    const key = {
      remoteJid: '120363000@g.us',
      participant: '1000000003@lid',
      participantAlt: undefined,
      id: 'G1',
      fromMe: false,
    }
    expect(messageReportOf(incoming({ conversation: 'all' }, { key }), 'live', context)).toMatchObject({
      chat: { jid: '120363000@g.us' },
      sender: { jid: '1000000003@lid', lid: '1000000003', pn: '34600000003' },
    })
  })

  it('does not take our own other name for the peer, in what our phone sent', () => {
    const key = {
      remoteJid: '34600000002@s.whatsapp.net',
      remoteJidAlt: '1000000001@lid',
      id: 'P1',
      fromMe: true,
    }
    const report = messageReportOf(incoming({ conversation: 'mine' }, { key }), 'live', context)
    expect(report).toMatchObject({ origin: 'phone', from_me: true, chat: { pn: '34600000002' }, sender: me })
    expect(report?.chat.lid).toBeUndefined()
  })

  it('drops the device part of addresses', () => {
    const key = { remoteJid: '34600000002:7@s.whatsapp.net', id: 'D1', fromMe: false }
    expect(messageReportOf(incoming({ conversation: 'x' }, { key }), 'live', context)?.chat).toEqual({
      jid: '34600000002@s.whatsapp.net',
      pn: '34600000002',
    })
  })
})
