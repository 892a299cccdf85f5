import { expect, test } from 'vitest'
import { readSizes } from './arguments.ts'

test('sizes have their defaults, and what is given replaces them', () => {
  expect(readSizes({ runs: 10, rate: 100 }, ['--runs', '2', '--runtime', 'process'])).toEqual({
    sizes: { runs: 2, rate: 100 },
    runtime: 'process',
  })
})

test('what is no size is refused', () => {
  expect(() => readSizes({ runs: 10 }, ['--runs', 'many'])).toThrow('--runs is a number above 0, not many')
  expect(() => readSizes({ runs: 10 }, ['--rusn', '3'])).toThrow()
})
