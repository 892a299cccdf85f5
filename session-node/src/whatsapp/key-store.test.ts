import type { SignalDataSet } from '@whiskeysockets/baileys'
import { describe, expect, it, vi } from 'vitest'
import type { Entry } from '../commits/batch.ts'
import { Identities } from './identities.ts'
import { Inbox } from './inbox.ts'
import { KeyCache } from './key-cache.ts'
import { KeyStore } from './key-store.ts'

const hash = 'ab'.repeat(32)

const setUp = (stored: Record<string, string> = {}, seen: string[] = []) => {
  const entries: Entry[] = []
  let makeDurable = () => undefined as unknown
  const durable = new Promise<void>((resolve) => {
    makeDurable = resolve
  })
  let durablePosition = 0
  const fetch = vi.fn(async (type: string, ids: string[]) =>
    Object.fromEntries(
      ids.flatMap((id) => (stored[`${type}/${id}`] ? [[id, stored[`${type}/${id}`] as string]] : [])),
    ),
  )
  const inbox = new Inbox(seen)
  const identities = new Identities()
  const store = new KeyStore({
    cache: new KeyCache(1_000_000, () => durablePosition),
    inbox,
    identities,
    log: { append: (entry) => entries.push(entry), durable: () => durable },
    fetch,
  })
  const settle = async () => {
    durablePosition = entries.length
    makeDurable()
    await durable
    await Promise.resolve()
  }
  return { store, entries, fetch, inbox, identities, settle }
}

describe('KeyStore', () => {
  it('writes all types of one set as one entry, and reads them back from memory', async () => {
    const { store, entries, fetch } = setUp()
    const session = { a: Buffer.from('bytes'), nested: { list: [1, 2] } }
    await store.set({
      session: { 'x.0': session },
      'device-list': { x: ['0', '3'] },
    } as unknown as SignalDataSet)
    expect(entries).toHaveLength(1)
    expect(entries[0]?.keys?.map(({ type, id }) => `${type}/${id}`)).toEqual(['session/x.0', 'device-list/x'])
    expect(await store.get('session', ['x.0'])).toEqual({ 'x.0': session })
    expect(await store.get('device-list', ['x'])).toEqual({ x: ['0', '3'] })
    expect(fetch).not.toHaveBeenCalled()
  })

  it('gives values that nobody can change behind its back', async () => {
    const { store } = setUp()
    await store.set({ 'device-list': { x: ['0'] } })
    const got = await store.get('device-list', ['x'])
    got.x?.push('9')
    expect(await store.get('device-list', ['x'])).toEqual({ x: ['0'] })
  })

  it('fetches once what it does not know, also when it is not there', async () => {
    const { store, fetch } = setUp({ 'identity-key/x.0': '{"type":"Buffer","data":"BQ=="}' })
    const [one, two] = await Promise.all([
      store.get('identity-key', ['x.0', 'y.0']),
      store.get('identity-key', ['x.0']),
    ])
    expect(one).toEqual({ 'x.0': Buffer.from([5]) })
    expect(two).toEqual(one)
    expect(await store.get('identity-key', ['y.0'])).toEqual({})
    expect(fetch).toHaveBeenCalledTimes(1)
  })

  it('keeps pre-keys until they are durable, and fetches them when they are used', async () => {
    const { store, fetch, settle } = setUp({ 'pre-key/1': '{"public":{"type":"Buffer","data":"AQ=="}}' })
    await store.set({ 'pre-key': { 1: { public: Buffer.from([1]), private: Buffer.from([2]) } } })
    await settle()
    expect(await store.get('pre-key', ['1'])).toMatchObject({ 1: { public: Buffer.from([1]) } })
    expect(fetch).toHaveBeenCalledTimes(1)
  })

  it('sends plaintexts as inbox records, holds them until they are durable, then asks the database', async () => {
    const { store, entries, fetch, settle } = setUp({
      [`x-inbox/${hash}`]: Buffer.from('stored').toString('base64'),
    })
    const record = {
      hash,
      plaintext: Buffer.from('held').toString('base64'),
      stanza: { attrs: {}, enc_type: 'msg' },
    }
    await store.set({
      session: { 'x.0': { a: 1 } },
      'x-inbox': { [hash]: record },
    } as unknown as SignalDataSet)
    expect(entries).toHaveLength(1)
    expect(entries[0]).toMatchObject({ inbox: [record], keys: [{ type: 'session' }] })
    expect(await store.get('x-inbox' as never, [hash])).toEqual({ [hash]: Buffer.from('held') })
    await settle()
    expect(await store.get('x-inbox' as never, [hash])).toEqual({ [hash]: Buffer.from('stored') })
    expect(fetch).toHaveBeenCalledTimes(1)
    expect(await store.get('x-inbox' as never, ['cd'.repeat(32)])).toEqual({})
    expect(fetch).toHaveBeenCalledTimes(1)
  })

  it('tells of identities in the same entry, once', async () => {
    const { store, entries, identities } = setUp()
    await store.set({ 'lid-mapping': { 34600000001: '1000000001', '1000000001_reverse': '34600000001' } })
    expect(entries[0]?.events).toEqual([
      { type: 'identities', pairs: [{ pn: '34600000001', lid: '1000000001' }] },
    ])
    expect(identities.pnOf('1000000001')).toBe('34600000001')
    await store.set({ 'lid-mapping': { 34600000001: '1000000001' } })
    expect(entries[1]?.events).toBeUndefined()
  })

  it('settles a key share with its keys', async () => {
    const { store, entries, inbox } = setUp()
    inbox.awaitKeyShare([hash])
    await store.set({ 'app-state-sync-key': { AAAA: { keyData: Buffer.from('k') } } })
    expect(entries[0]?.events).toEqual([{ type: 'settled', hashes: [hash] }])
  })

  it('takes nothing from a socket whose identity has ended, nor answers it', async () => {
    const { store, entries } = setUp({ 'device-list/y': '["7"]' })
    const before = store.ofIdentity()
    await before.set({ 'device-list': { x: ['0'] } })
    const fetching = before.get('device-list', ['y'])
    store.clear()
    await fetching
    await before.set({ 'device-list': { x: ['1'] } })
    expect(entries).toHaveLength(1)
    expect(await before.get('device-list', ['x', 'y'])).toEqual({})

    const after = store.ofIdentity()
    await after.set({ 'device-list': { x: ['2'] } })
    expect(await after.get('device-list', ['x'])).toEqual({ x: ['2'] })
    expect(entries).toHaveLength(2)
  })

  it('keeps no answer that was asked for before the identity ended', async () => {
    const stored: Record<string, string> = { 'device-list/y': '["7"]' }
    const { store, fetch } = setUp(stored)
    const asked = store.get('device-list', ['y'])
    store.clear()
    await asked
    delete stored['device-list/y']
    expect(await store.get('device-list', ['y'])).toEqual({})
    expect(fetch).toHaveBeenCalledTimes(2)
  })
})
