import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  advance,
  type MessageError,
  type MessageStatus,
  type Progress,
  reached,
  type StatusChange,
} from './status.ts'

const at = (second: number) => new Date(second * 1000)
const refused: MessageError = { code: 'rejected', title: 'no', permanent: true }
const unknown: MessageError = {
  code: 'no_answer',
  title: 'who knows',
  permanent: false,
  outcome_unknown: true,
}
const none = { error: null, sentAt: null, deliveredAt: null, readAt: null, playedAt: null, failedAt: null }
const pending: Progress = { status: 'pending', ...none }
const rank = (status: MessageStatus) => ['pending', 'sent', 'delivered', 'read', 'played'].indexOf(status)

const proof: fc.Arbitrary<StatusChange> = fc.record({
  to: fc.constantFrom('sent', 'delivered', 'read', 'played'),
  at: fc.integer({ min: 1, max: 50 }).map(at),
})
const guess: fc.Arbitrary<StatusChange> = fc.record({
  to: fc.constant('failed' as const),
  at: fc.integer({ min: 1, max: 50 }).map(at),
  error: fc.constant(unknown),
})
const run = (changes: StatusChange[], from = pending) => changes.reduce(advance, from)

describe('any order of the same facts', () => {
  test('gives the same end, however often each is told', () => {
    const shuffled = fc
      .array(proof, { maxLength: 8 })
      .chain((facts) =>
        fc.tuple(
          fc.constant(facts),
          fc.shuffledSubarray([...facts, ...facts, ...facts], { minLength: facts.length * 3 }),
        ),
      )
    fc.assert(
      fc.property(shuffled, ([facts, again]) => {
        expect(run(again)).toEqual(run(facts))
      }),
    )
  })

  test('a guess at failure changes nothing once there is proof, before or after it', () => {
    const mixed = fc
      .tuple(fc.array(proof, { minLength: 1, maxLength: 6 }), fc.array(guess, { maxLength: 3 }))
      .chain(([facts, guesses]) =>
        fc.tuple(
          fc.constant(facts),
          fc.shuffledSubarray([...facts, ...guesses], { minLength: facts.length + guesses.length }),
        ),
      )
    fc.assert(
      fc.property(mixed, ([facts, all]) => {
        expect(run(all)).toEqual(run(facts))
      }),
    )
  })

  test('never goes back, and times stand in the order of the ladder', () => {
    fc.assert(
      fc.property(fc.array(proof, { minLength: 1 }), (facts) => {
        let progress = pending
        for (const fact of facts) {
          const next = advance(progress, fact)
          expect(rank(next.status)).toBeGreaterThanOrEqual(rank(progress.status))
          progress = next
        }
        const times = [progress.sentAt, progress.deliveredAt, progress.readAt, progress.playedAt]
        const known = times.filter((time) => time !== null)
        expect(known.length).toBe(rank(progress.status))
        expect(known).toEqual([...known].sort((a, b) => a.getTime() - b.getTime()))
      }),
    )
  })
})

test('a fact that adds nothing gives back the same object', () => {
  const delivered = run([{ to: 'delivered', at: at(5) }])
  expect(advance(delivered, { to: 'sent', at: at(9) })).toBe(delivered)
  expect(advance(delivered, { to: 'sent', at: at(2) })).toEqual({ ...delivered, sentAt: at(2) })
})

test('a receipt that comes before the ack implies it', () => {
  expect(run([{ to: 'read', at: at(7) }])).toEqual({
    ...pending,
    status: 'read',
    sentAt: at(7),
    deliveredAt: at(7),
    readAt: at(7),
  })
})

test('a refusal is final, and only what is pending can be refused', () => {
  const failed = run([{ to: 'failed', at: at(1), error: refused }])
  expect(failed).toEqual({ ...pending, status: 'failed', error: refused, failedAt: at(1) })
  expect(advance(failed, { to: 'read', at: at(2) })).toBe(failed)
  expect(advance(failed, { to: 'failed', at: at(2), error: unknown })).toBe(failed)
  const sent = run([{ to: 'sent', at: at(1) }])
  expect(advance(sent, { to: 'failed', at: at(2), error: refused })).toBe(sent)
})

test('a refusal after a try whose end is unknown gives way to proof, and says so', () => {
  const doubted: Progress = { ...pending, error: unknown }
  const failed = advance(doubted, { to: 'failed', at: at(2), error: refused })
  expect(failed).toMatchObject({ status: 'failed', error: { ...refused, outcome_unknown: true } })
  expect(advance(failed, { to: 'failed', at: at(3), error: refused })).toBe(failed)
  const delivered = run([{ to: 'delivered', at: at(3) }])
  expect(advance(failed, { to: 'delivered', at: at(3) })).toEqual(delivered)
  expect(advance(doubted, { to: 'delivered', at: at(3) })).toEqual(delivered)
})

test('proof outweighs a cancellation and a guess, and clears the error', () => {
  const cancelled: Progress = { ...pending, status: 'cancelled' }
  expect(advance(cancelled, { to: 'sent', at: at(3) })).toEqual({ ...pending, status: 'sent', sentAt: at(3) })
  const guessed = run([{ to: 'failed', at: at(1), error: unknown }])
  expect(advance(guessed, { to: 'sent', at: at(3) })).toEqual({ ...pending, status: 'sent', sentAt: at(3) })
})

test('what others sent us has no such statuses', () => {
  const received: Progress = { status: 'received', ...none }
  for (const change of [
    { to: 'read', at: at(1) },
    { to: 'failed', at: at(1), error: refused },
  ] as const) {
    expect(advance(received, change)).toBe(received)
  }
})

test('the rungs passed on the way', () => {
  expect(reached('pending', 'read')).toEqual(['sent', 'delivered', 'read'])
  expect(reached('delivered', 'played')).toEqual(['read', 'played'])
  expect(reached('failed', 'sent')).toEqual(['sent'])
  expect(reached('sent', 'sent')).toEqual([])
  expect(reached('pending', 'failed')).toEqual([])
})
