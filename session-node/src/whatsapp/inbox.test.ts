import { expect, it } from 'vitest'
import { hashOf, Inbox } from './inbox.ts'

const hash = (text: string) => hashOf(Buffer.from(text))

it('knows what the database has seen, and what it has just been given', () => {
  const inbox = new Inbox([hash('old')])
  expect(inbox.hasSeen(hash('old'))).toBe(true)
  expect(inbox.hasSeen(hash('new'))).toBe(false)
  inbox.hold({ hash: hash('new'), plaintext: 'AQ==', stanza: { attrs: {}, enc_type: 'msg' } })
  expect(inbox.plaintext(hash('new'))).toEqual(Buffer.from([1]))
  inbox.release(hash('new'))
  expect(inbox.plaintext(hash('new'))).toBeUndefined()
  expect(inbox.hasSeen(hash('new'))).toBe(true)
})

it('gives all parts of a message to its event, once', () => {
  const inbox = new Inbox([])
  inbox.open('m1', hash('a'))
  inbox.open('m1', hash('b'))
  inbox.open('m2', hash('c'))
  expect(inbox.take('m1')).toEqual([hash('a'), hash('b')])
  expect(inbox.take('m1')).toEqual([])
})

it('leaves a history notification unsettled when the next one comes before its contents', () => {
  const inbox = new Inbox([])
  inbox.awaitHistory([hash('failed')])
  inbox.awaitHistory([hash('fine')])
  expect(inbox.settleHistory()).toEqual([hash('fine')])
  expect(inbox.settleHistory()).toEqual([])
})
