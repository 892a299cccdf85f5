import { expect, test } from 'vitest'
import { createCircuitBreaker } from './circuit-breaker.ts'

const options = { failures: 3, firstMs: 10, mostMs: 50 }
const fail = (
  breaker: ReturnType<typeof createCircuitBreaker>,
  times: number,
  account = 'a',
  code = 'server_error',
) => Array.from({ length: times }, () => breaker.failed(account, code))

test('opens at so many failures in a row, then at each, for twice the time, up to a limit', () => {
  expect(fail(createCircuitBreaker(options), 7)).toEqual([undefined, undefined, 10, 20, 40, 50, 50])
})

test('a success closes it, and the count begins again', () => {
  const breaker = createCircuitBreaker(options)
  fail(breaker, 5)
  breaker.succeeded('a')
  expect(fail(breaker, 3)).toEqual([undefined, undefined, 10])
})

test('accounts do not count for each other, and a wrong recipient counts for nobody', () => {
  const breaker = createCircuitBreaker(options)
  fail(breaker, 2)
  expect(fail(breaker, 2, 'b')).toEqual([undefined, undefined])
  expect(fail(breaker, 9, 'a', 'recipient_not_found').every((ms) => ms === undefined)).toBe(true)
  expect(fail(breaker, 1)).toEqual([10])
})
