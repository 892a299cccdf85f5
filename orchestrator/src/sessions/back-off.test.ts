import { expect, test } from 'vitest'
import { nextTry } from './back-off.ts'

const never = { activeMs: null, oomKilled: false }

test('the first failure costs nothing, the next ones double, the fifth is a crash loop that goes on slowly', () => {
  const tries = [0, 1, 2, 3, 4, 9].map((failures) => nextTry({ failures, ...never }, 0.5))
  expect(tries.map((next) => next.delayMs)).toEqual([0, 1_000, 2_000, 4_000, 300_000, 300_000])
  expect(tries.map((next) => next.crashLoop)).toEqual([false, false, false, false, true, true])
  expect(tries.map((next) => next.failures)).toEqual([1, 2, 3, 4, 5, 10])
})

test('jitter is a quarter either way', () => {
  expect(nextTry({ failures: 2, ...never }, 0).delayMs).toBe(1_500)
  expect(nextTry({ failures: 2, ...never }, 1).delayMs).toBe(2_500)
})

test('having been active starts the count again, unless the memory ran out soon', () => {
  expect(nextTry({ failures: 4, activeMs: 1, oomKilled: false }).failures).toBe(1)
  expect(nextTry({ failures: 4, activeMs: 60_000, oomKilled: true })).toMatchObject({
    failures: 5,
    crashLoop: true,
  })
  expect(nextTry({ failures: 4, activeMs: 3_600_000, oomKilled: true }).failures).toBe(1)
})
