import { describe, expect, it } from 'vitest'
import type { Entry } from '../commits/batch.ts'
import { Identities } from './identities.ts'
import { Inbox } from './inbox.ts'
import { KeyCache } from './key-cache.ts'
import { KeyStore } from './key-store.ts'
import { RetryCounters } from './retry-counters.ts'

const MINUTE = 60_000

/** a node's counters over what was committed; each call is another node */
const attach = (database: Map<string, string>, now?: () => number): RetryCounters => {
  let position = 0
  const commit = ({ keys = [] }: Entry) => {
    for (const { type, id, value } of keys) {
      if (value === null) database.delete(`${type}/${id}`)
      else database.set(`${type}/${id}`, value)
    }
    return ++position
  }
  const store = new KeyStore({
    cache: new KeyCache(1_000_000, () => position),
    inbox: new Inbox([]),
    identities: new Identities(),
    log: { append: commit, durable: () => Promise.resolve() },
    fetch: async (type, ids) =>
      Object.fromEntries(
        ids.flatMap((id) => {
          const value = database.get(`${type}/${id}`)
          return value === undefined ? [] : [[id, value]]
        }),
      ),
  })
  return new RetryCounters(store.ofIdentity(), now)
}

describe('RetryCounters', () => {
  it('goes on counting in the node that replaces this one', async () => {
    const database = new Map<string, string>()
    const first = attach(database)
    await Promise.all([first.set('A:peer', 1), first.set('B:peer', 4), first.set('A:other', 2)])
    await first.set('A:peer', 2)
    await first.del('A:other')
    const second = attach(database)
    expect(await second.get('A:peer')).toBe(2)
    expect(await second.get('B:peer')).toBe(4)
    expect(await second.get('A:other')).toBeUndefined()
    await second.set('A:peer', 3)
    expect(await attach(database).get('A:peer')).toBe(3)
  })

  it('forgets after an hour, and leaves no key behind', async () => {
    const database = new Map<string, string>()
    let now = 0
    const counters = attach(database, () => now)
    await counters.set('A:peer', 5)
    now = 59 * MINUTE
    expect(await counters.get('A:peer')).toBe(5)
    now = 61 * MINUTE
    expect(await counters.get('A:peer')).toBeUndefined()
    await counters.del('A:peer')
    expect(database.size).toBe(0)
    await counters.set('A:peer', 1)
    await counters.flushAll()
    expect(database.size).toBe(0)
  })

  it('is bounded, the newest stay', async () => {
    const database = new Map<string, string>()
    const counters = attach(database)
    for (let n = 0; n < 3_000; n++) await counters.set(`3EB0${n}:peer`, 1)
    expect(database.size).toBeLessThanOrEqual(16)
    expect([...database.values()].join('').length).toBeLessThan(30_000)
    expect(await counters.get('3EB02999:peer')).toBe(1)
    expect(await counters.get('3EB00:peer')).toBeUndefined()
  })
})
