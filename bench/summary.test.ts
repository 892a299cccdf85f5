import { expect, test } from 'vitest'
import { median, percentile, summarize } from './summary.ts'

const hundred = Array.from({ length: 100 }, (_, n) => 100 - n)

test('percentiles are values that were measured, whatever their order', () => {
  expect(percentile(hundred, 50)).toBe(50)
  expect(percentile(hundred, 99)).toBe(99)
  expect(percentile(hundred, 100)).toBe(100)
  expect(percentile([7], 1)).toBe(7)
  expect(median([10, 9, 2])).toBe(9)
})

test('a summary is rounded and leaves what it was given as it is', () => {
  const values = [3.14, 1.26, 2.04]
  expect(summarize(values)).toEqual({ count: 3, p50: 2, p99: 3.1, max: 3.1 })
  expect(values).toEqual([3.14, 1.26, 2.04])
})

test('nothing measured is a failure, not a zero', () => {
  expect(() => summarize([])).toThrow('nothing was measured')
})
