import { expect, test } from 'vitest'
import { check, type Kind } from './checker.ts'
import type { Evidence } from './evidence.ts'
import type { Outbound } from './history.ts'

const bob = 'bob'
const asked = (text: string, at: number, change: Partial<Outbound> = {}): Outbound => ({
  accountId: 'a',
  contact: bob,
  text,
  mode: 'async',
  key: text,
  place: 0,
  askedAt: at,
  answeredAt: at + 5,
  tries: 1,
  outcome: 'accepted',
  id: `id-${text}`,
  code: undefined,
  ...change,
})

/** Two messages each way, all as it should be. */
function clean(): Evidence {
  const inbound = ['in1', 'in2'].map((text) => ({ waId: `W${text}`, accountId: 'a', contact: bob, text }))
  const outbound = [asked('out1', 10), asked('out2', 20)]
  return {
    history: {
      accounts: ['a'],
      contacts: [{ phone: bob, lid: '1', reads: true }],
      inbound,
      outbound,
    },
    messages: [
      ...inbound.map(({ waId, text }) => ({
        id: `id-${text}`,
        accountId: 'a',
        waId,
        direction: 'inbound' as const,
        conversationId: 'c',
        type: 'text',
        text,
        status: 'received',
        error: null,
        correlationId: null,
      })),
      ...outbound.map(({ text }) => ({
        id: `id-${text}`,
        accountId: 'a',
        waId: `W${text}`,
        direction: 'outbound' as const,
        conversationId: 'c',
        type: 'text',
        text,
        status: 'read',
        error: null,
        correlationId: `c-${text}`,
      })),
    ],
    events: [
      ...inbound.map(({ waId, text }, n) => event(n + 1, 'message.received', text, waId)),
      ...outbound.flatMap(({ text }, n) =>
        ['message.sent', 'message.ack', 'message.delivered', 'message.read'].map((type, m) =>
          event(10 + n * 4 + m, type, text, `W${text}`),
        ),
      ),
    ],
    openJobs: [],
    crashes: [],
    contacts: [
      {
        phone: bob,
        received: outbound.map(({ text }, n) => arrival(text, n)),
        sent: inbound.map(({ waId }, at) => ({
          id: waId,
          to: 'a',
          at,
          acked: 1,
          delivered: 1,
          resends: 0,
          dropped: false,
        })),
        unreadable: [],
      },
    ],
  }
}

const event = (id: number, type: string, text: string, waId: string) => ({
  id,
  type,
  messageId: `id-${text}`,
  accountId: 'a',
  waId,
  text,
})
const arrival = (text: string, at: number, id = `W${text}`) => ({
  id,
  from: 'a',
  chat: 'a',
  type: 'text',
  text,
  at,
  times: 1,
  asked: 0,
})

/** Spoils clean evidence; what is found, as kinds. */
function spoilt(spoil: (evidence: Required<Evidence>) => void): Kind[] {
  const evidence = clean()
  spoil(evidence)
  return check(evidence).violations.map(({ kind }) => kind)
}
const first = <T>(items: T[]): T => items[0] as T
const row = (evidence: Evidence, text: string) =>
  first(evidence.messages.filter((message) => message.text === text))
const phone = (evidence: Evidence) => first(evidence.contacts)

test('a clean run has no violations', () => {
  expect(check(clean())).toMatchObject({ violations: [], repeats: 0, counts: { lost: 0, duplicate: 0 } })
})

test.each<[string, Kind, (evidence: Evidence) => void]>([
  ['a receipted message that is not in Postgres', 'lost', (e) => void e.messages.shift()],
  ['a message without its event', 'lost', (e) => void e.events.shift()],
  ['a message whose text changed', 'lost', (e) => void Object.assign(row(e, 'in1'), { text: 'else' })],
  ['two rows', 'duplicate', (e) => void e.messages.push({ ...row(e, 'in1'), id: 'other' })],
  ['two events', 'duplicate', (e) => void e.events.push({ ...first(e.events), id: 99 })],
  [
    'a row that nobody sent',
    'duplicate',
    (e) => void e.messages.push({ ...row(e, 'in1'), waId: 'X', text: 'x' }),
  ],
  ['never readable', 'undecryptable', (e) => void Object.assign(row(e, 'in1'), { type: 'undecryptable' })],
  ['inbound events swapped', 'misordered', (e) => void Object.assign(first(e.events), { id: 5 })],
  ['accepted, not stored', 'lost', (e) => void e.messages.splice(2, 1)],
  [
    'accepted, never ended',
    'lost',
    (e) => {
      Object.assign(row(e, 'out1'), { status: 'pending' })
      e.events = e.events.filter(({ messageId }) => messageId !== 'id-out1')
      phone(e).received.shift()
    },
  ],
  ['sent, never arrived', 'lost', (e) => void phone(e).received.shift()],
  ['never answered', 'lost', (e) => void Object.assign(first(e.history.outbound), { outcome: 'unanswered' })],
  ['a job left over', 'lost', (e) => void e.openJobs.push({ id: '1', state: 'pending', key: 'send:a' })],
  ['no ack event', 'lost', (e) => void Object.assign(e, { events: e.events.filter(({ id }) => id !== 11) })],
  ['two ids at the contact', 'duplicate', (e) => void phone(e).received.push(arrival('out1', 9, 'Z'))],
  ['two outbound rows', 'duplicate', (e) => void e.messages.push({ ...row(e, 'out1') })],
  [
    'two conversations with one person',
    'duplicate',
    (e) => void Object.assign(row(e, 'out1'), { conversationId: 'd' }),
  ],
  [
    'refused, and seen',
    'duplicate',
    (e) => {
      first(e.history.outbound).outcome = 'refused'
      row(e, 'out1').text = null
    },
  ],
  ['a message from nowhere', 'duplicate', (e) => void phone(e).received.push(arrival('ghost', 9))],
  ['outbound swapped', 'misordered', (e) => void phone(e).received.reverse()],
  [
    'a contact that cannot read',
    'undecryptable',
    (e) => void phone(e).unreadable.push({ id: 'U', reason: 'Bad MAC' }),
  ],
  [
    'not as far as the contact',
    'wrong_status',
    (e) => {
      row(e, 'out1').status = 'delivered'
      e.events = e.events.filter(({ id }) => id !== 13)
    },
  ],
  [
    'failed, and seen',
    'wrong_status',
    (e) => {
      Object.assign(row(e, 'out1'), { status: 'failed', error: { code: 'rejected' } })
      e.events = e.events.filter(({ messageId }) => messageId !== 'id-out1')
      e.events.push(event(30, 'message.failed', 'out1', 'Wout1'), event(31, 'message.ack', 'out1', 'Wout1'))
    },
  ],
  [
    'an event that goes back',
    'status_regressions',
    (e) => void e.events.push(event(40, 'message.sent', 'out1', 'Wout1')),
  ],
  [
    'a row behind its events',
    'status_regressions',
    (e) => {
      e.history.contacts = [{ phone: bob, lid: '1', reads: false }]
      for (const message of e.messages) if (message.status === 'read') message.status = 'delivered'
    },
  ],
])('%s is %s', (_, kind, spoil) => {
  const found = spoilt(spoil)
  expect(found.length).toBeGreaterThan(0)
  expect(new Set(found)).toEqual(new Set([kind]))
})

test.each<[string, (evidence: Evidence) => void]>([
  [
    'inbound swapped, the earlier one held back by a fault',
    (e) => {
      first(e.events).id = 5
      first(phone(e).sent).dropped = true
    },
  ],
  [
    'inbound swapped, the earlier one sent again on request',
    (e) => {
      first(e.events).id = 5
      first(phone(e).sent).resends = 1
    },
  ],
  [
    'outbound swapped, both asked for at once',
    (e) => {
      first(e.history.outbound).answeredAt = 30
      phone(e).received.reverse()
    },
  ],
  [
    'outbound swapped, the contact had to ask again',
    (e) => {
      first(phone(e).received).asked = 1
      phone(e).received.reverse()
    },
  ],
  [
    'failed with a reason',
    (e) => {
      Object.assign(row(e, 'out1'), { status: 'failed', error: { code: 'rejected' } })
      e.events = e.events.filter(({ messageId }) => messageId !== 'id-out1')
      e.events.push(event(30, 'message.failed', 'out1', 'Wout1'), event(31, 'message.ack', 'out1', 'Wout1'))
      phone(e).received.shift()
    },
  ],
  [
    'failed by a guess, then proven',
    (e) => {
      e.events = e.events.map((each) => (each.messageId === 'id-out1' ? { ...each, id: each.id + 50 } : each))
      e.events.unshift(event(3, 'message.failed', 'out1', 'Wout1'))
    },
  ],
  [
    'refused and nowhere',
    (e) => {
      e.history.outbound.push(asked('out3', 30, { outcome: 'refused', code: 'session_not_connected' }))
    },
  ],
])('%s is allowed', (_, spoil) => {
  expect(spoilt(spoil)).toEqual([])
})

test('items of one request keep their order', () => {
  const evidence = clean()
  evidence.history.outbound = [
    asked('out1', 10, { key: 'bulk', place: 0 }),
    asked('out2', 10, { key: 'bulk', place: 1 }),
  ]
  expect(check(evidence).violations).toEqual([])
  phone(evidence).received.reverse()
  expect(check(evidence).counts.misordered).toBe(1)
})

test('the same id twice is a repeat, and no violation', () => {
  const evidence = clean()
  first(phone(evidence).received).times = 3
  expect(check(evidence)).toMatchObject({ violations: [], repeats: 2 })
})
