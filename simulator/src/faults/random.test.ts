import { expect, test } from 'vitest'
import { seededRandom, streamSeed } from './random.ts'

const row = (seed: number) => Array.from({ length: 1000 }, seededRandom(seed))

test('a seed is a row', () => {
  expect(row(3)).toEqual(row(3))
  expect(row(3)).not.toEqual(row(4))
  expect(streamSeed(1, 'ana')).not.toBe(streamSeed(1, 'bob'))
  expect(streamSeed(1, 'ana')).not.toBe(streamSeed(2, 'ana'))
})

test('numbers fill [0, 1) evenly', () => {
  const numbers = row(1)
  expect(numbers.every((each) => each >= 0 && each < 1)).toBe(true)
  const mean = numbers.reduce((sum, each) => sum + each, 0) / numbers.length
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.05)
})
