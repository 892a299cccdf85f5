import { expect, it } from 'vitest'
import { KeyCache } from './key-cache.ts'

const value = 'x'.repeat(1_000)

it('never drops what is not durable, however full it is', () => {
  let durable = 0
  const cache = new KeyCache(10_000, () => durable)
  for (let index = 1; index <= 50; index++) cache.write('session', String(index), value, index)
  expect(cache.size).toBe(50)
  durable = 40
  cache.write('session', '51', value, 51)
  expect(cache.get('session', '40')).toBeUndefined()
  for (let index = 41; index <= 51; index++) expect(cache.get('session', String(index))).toBe(value)
})

it('drops what was used longest ago', () => {
  const cache = new KeyCache(5_000, () => 100)
  for (const id of ['a', 'b', 'c', 'd']) cache.write('session', id, value, 1)
  cache.get('session', 'a')
  cache.write('session', 'e', value, 1)
  expect(cache.get('session', 'b')).toBeUndefined()
  expect(cache.get('session', 'a')).toBe(value)
  expect(cache.bytes).toBeLessThanOrEqual(5_000)
})

it('lets no answer of the database replace a write, and remembers absence', () => {
  const cache = new KeyCache(10_000, () => 0)
  cache.write('session', 'a', 'new', 1)
  cache.learn('session', 'a', 'old')
  cache.learn('session', 'b', null)
  expect(cache.get('session', 'a')).toBe('new')
  expect(cache.get('session', 'b')).toBeNull()
  expect(cache.get('session', 'c')).toBeUndefined()
})

it('forgets only what is durable', () => {
  let durable = 0
  const cache = new KeyCache(10_000, () => durable)
  cache.write('pre-key', '1', value, 1)
  cache.forget('pre-key', '1')
  expect(cache.get('pre-key', '1')).toBe(value)
  durable = 1
  cache.forget('pre-key', '1')
  expect(cache.size).toBe(0)
  expect(cache.bytes).toBe(0)
})
