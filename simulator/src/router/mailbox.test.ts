import { expect, test } from 'vitest'
import { stanza } from '../codec/stanza.ts'
import { Mailbox } from './mailbox.ts'

const ids = (mailbox: Mailbox) => mailbox.pending().map(({ tag, attrs }) => `${tag} ${attrs.id}`)

test('keeps order, and forgets what is confirmed by class and id', () => {
  const mailbox = new Mailbox()
  mailbox.add(stanza('message', { id: 'A' }))
  mailbox.add(stanza('notification', { id: 'A' }))
  mailbox.add(stanza('message', { id: 'B' }))
  mailbox.settleAck(stanza('ack', { class: 'message', id: 'A' }))
  expect(ids(mailbox)).toEqual(['notification A', 'message B'])
  mailbox.settleAck(stanza('ack', { class: 'receipt', id: 'B' }))
  expect(mailbox.size).toBe(2)
})

test('a receipt confirms every message it lists', () => {
  const mailbox = new Mailbox()
  for (const id of ['A', 'B', 'C']) mailbox.add(stanza('message', { id }))
  const items = ['B', 'X'].map((id) => stanza('item', { id }))
  mailbox.settleReceipt(stanza('receipt', { id: 'A', type: 'read' }, [stanza('list', {}, items)]))
  expect(ids(mailbox)).toEqual(['message C'])
})

test('the delivery and the read receipt of one message are two stanzas', () => {
  const mailbox = new Mailbox()
  mailbox.add(stanza('receipt', { id: 'A' }))
  mailbox.add(stanza('receipt', { id: 'A', type: 'read' }))
  mailbox.settleAck(stanza('ack', { class: 'receipt', id: 'A' }))
  expect(mailbox.pending()).toEqual([stanza('receipt', { id: 'A', type: 'read' })])
})

test('a message that was sent twice needs two confirmations', () => {
  const mailbox = new Mailbox()
  mailbox.add(stanza('message', { id: 'A', t: '1' }))
  mailbox.add(stanza('message', { id: 'A', t: '2' }))
  mailbox.settleReceipt(stanza('receipt', { id: 'A' }))
  expect(mailbox.pending()).toEqual([stanza('message', { id: 'A', t: '2' })])
  mailbox.settleReceipt(stanza('receipt', { id: 'A' }))
  mailbox.settleReceipt(stanza('receipt', { id: 'A' }))
  expect(mailbox.size).toBe(0)
})

test('the error ack after a retry receipt does not confirm the resend', () => {
  const mailbox = new Mailbox()
  mailbox.add(stanza('message', { id: 'A', t: '1' }))
  mailbox.settleReceipt(stanza('receipt', { id: 'A', type: 'retry' }))
  mailbox.add(stanza('message', { id: 'A', t: '2' }))
  mailbox.settleAck(stanza('ack', { class: 'message', id: 'A', error: '500' }))
  expect(mailbox.pending()).toEqual([stanza('message', { id: 'A', t: '2' })])
  mailbox.settleReceipt(stanza('receipt', { id: 'A' }))
  expect(mailbox.size).toBe(0)
})
