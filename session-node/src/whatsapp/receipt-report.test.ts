import { expect, it } from 'vitest'
import { Identities } from './identities.ts'
import { receiptReportOf } from './receipt-report.ts'

const me = { jid: '34600000001@s.whatsapp.net', pn: '34600000001', lid: '1000000001' }
const context = { me, identities: new Identities() }
const receipt = (attrs: Record<string, string>, ids: string[] = []) => ({
  tag: 'receipt',
  attrs: { from: '34600000002@s.whatsapp.net', id: 'A', t: '1700000000', ...attrs },
  content:
    ids.length > 0
      ? [{ tag: 'list', attrs: {}, content: ids.map((id) => ({ tag: 'item', attrs: { id } })) }]
      : undefined,
})

it.each([
  [{}, 'delivered'],
  [{ type: 'read' }, 'read'],
  [{ type: 'played' }, 'played'],
])('%o is %s', (attrs, status) => {
  expect(receiptReportOf(receipt(attrs as Record<string, string>), context)).toEqual({
    type: 'receipt',
    ids: ['A'],
    status,
    chat: { jid: '34600000002@s.whatsapp.net', pn: '34600000002' },
    timestamp: 1_700_000_000,
  })
})

it.each(['retry', 'sender', 'inactive', 'read-self', 'peer_msg', 'hist_sync', 'server-error', 'toString'])(
  '%s is no tick',
  (type) => {
    expect(receiptReportOf(receipt({ type }), context)).toBeUndefined()
  },
)

it('lists all messages, and who read them in a group', () => {
  const report = receiptReportOf(
    receipt({ from: '120363000@g.us', participant: '1000000002:4@lid', type: 'read' }, ['B', 'C']),
    context,
  )
  expect(report).toMatchObject({
    ids: ['A', 'B', 'C'],
    chat: { jid: '120363000@g.us' },
    reader: { jid: '1000000002@lid', lid: '1000000002' },
  })
})

it('does not count our own other devices', () => {
  expect(receiptReportOf(receipt({ from: '1000000001:2@lid', type: 'read' }), context)).toBeUndefined()
})

it('tells who is who once', () => {
  const identities = new Identities()
  const report = () => receiptReportOf(receipt({ sender_lid: '1000000002@lid' }), { me, identities })
  const jid = '34600000002@s.whatsapp.net'
  expect(report()?.chat).toEqual({ jid, pn: '34600000002', lid: '1000000002' })
  expect(report()?.chat).toEqual({ jid })
  identities.clear()
  identities.learn('34600000002', '1000000002')
  expect(report()?.chat).toEqual({ jid })
})
