import { describe, expect, it } from 'vitest'
import { measure, mergeBatch, type QueuedEntry, takeBatch } from './batch.ts'

const key = (id: string, value: string | null) => ({ type: 'session', id, value })
const settled = (hash: string) => ({ type: 'settled' as const, hashes: [hash.repeat(64)] })
const queued = (position: number, entry: Partial<QueuedEntry> = {}): QueuedEntry => ({
  position,
  bytes: 10,
  seals: false,
  ...entry,
})
const limits = { bytes: 100, items: 3 }

describe('takeBatch', () => {
  it('takes what fits and leaves the rest in order', () => {
    const queue = [1, 2, 3].map((position) => queued(position, { bytes: 45 }))
    expect(takeBatch(queue, limits).map(({ position }) => position)).toEqual([1, 2])
    expect(queue.map(({ position }) => position)).toEqual([3])
  })

  it('counts items of each kind', () => {
    const queue = [1, 2].map((position) => queued(position, { keys: [key('a', '1'), key('b', '2')] }))
    expect(takeBatch(queue, limits)).toHaveLength(1)
  })

  it('takes one entry that is too large alone', () => {
    const queue = [queued(1, { bytes: 1_000 }), queued(2)]
    expect(takeBatch(queue, limits).map(({ position }) => position)).toEqual([1])
  })

  it('ends with an entry that seals', () => {
    const queue = [queued(1), queued(2, { seals: true }), queued(3)]
    expect(takeBatch(queue, limits).map(({ position }) => position)).toEqual([1, 2])
  })
})

describe('mergeBatch', () => {
  it('keeps the last value of each key, the last credentials, and all else in order', () => {
    const commit = mergeBatch(
      [
        queued(1, { creds: 'old', keys: [key('a', '1'), key('b', '1')], events: [settled('a')] }),
        queued(2, { creds: 'new', keys: [key('a', null)], events: [settled('b')] }),
      ],
      4,
      7,
    )
    expect(commit).toEqual({
      generation: 4,
      seq: 7,
      creds: 'new',
      keys: [key('a', null), key('b', '1')],
      inbox: [],
      events: [settled('a'), settled('b')],
    })
  })
})

it('measure is not below the JSON that an entry becomes', () => {
  const entry = {
    creds: JSON.stringify({ noiseKey: { type: 'Buffer', data: 'AAAA' } }),
    keys: [key('34600000001.0', JSON.stringify({ _sessions: { abc: { currentRatchet: 'x'.repeat(500) } } }))],
    events: [{ type: 'qr' as const, text: 'señal 🕊'.repeat(40), expires_at: new Date(0).toISOString() }],
  }
  const json = JSON.stringify(mergeBatch([{ ...entry, position: 1, bytes: 0, seals: false }], 1, 1))
  expect(measure(entry)).toBeGreaterThanOrEqual(Buffer.byteLength(json) - 60)
})
