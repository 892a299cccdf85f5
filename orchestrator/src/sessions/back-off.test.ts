import { expect, test } from 'vitest'
import { nextTry } from './back-off.ts'

const never = { activeMs: null, oomKilled: false }

test('the first failure costs nothing, the next ones double, the fifth is a crash loop that slows down to 5 min', () => {
  const tries = [0, 1, 2, 3, 4, 5, 6, 7, 8, 99].map((failures) => nextTry({ failures, ...never }, 0.5))
  const seconds = tries.map(({ delayMs }) => delayMs / 1_000)
  expect(seconds).toEqual([0, 1, 2, 4, 30, 60, 120, 300, 300, 300])
  expect(tries.map(({ crashLoop }) => crashLoop)).toEqual(seconds.map((s) => s >= 30))
  expect(tries.map(({ failures }) => failures)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 100])
})

test('jitter is a quarter either way', () => {
  expect(nextTry({ failures: 2, ...never }, 0).delayMs).toBe(1_500)
  expect(nextTry({ failures: 2, ...never }, 1).delayMs).toBe(2_500)
  expect(nextTry({ failures: 4, ...never }, 0).delayMs).toBe(22_500)
})

test('having been active starts the count again, unless the memory ran out soon', () => {
  expect(nextTry({ failures: 4, activeMs: 1, oomKilled: false }).failures).toBe(1)
  expect(nextTry({ failures: 4, activeMs: 60_000, oomKilled: true })).toMatchObject({
    failures: 5,
    crashLoop: true,
  })
  expect(nextTry({ failures: 4, activeMs: 3_600_000, oomKilled: true }).failures).toBe(1)
})
