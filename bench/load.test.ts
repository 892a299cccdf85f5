import { expect, test } from 'vitest'
import { closedLoop, dueAfter, openLoop } from './load.ts'

test('a steady row is due from its first moment, and never more of it than there is', () => {
  expect(dueAfter(0, 200, 10)).toBe(1)
  expect(dueAfter(4.9, 200, 10)).toBe(1)
  expect(dueAfter(5, 200, 10)).toBe(2)
  expect(dueAfter(1_000, 200, 1_000)).toBe(201)
  expect(dueAfter(60_000, 200, 10)).toBe(10)
})

test('an open loop does not wait for answers', async () => {
  let answer: () => void = () => undefined
  const first = new Promise<void>((resolve) => {
    answer = resolve
  })
  const started: number[] = []
  const times = await openLoop({ rate: 1_000, count: 3 }, async (n) => {
    started.push(n)
    if (n === 2) answer()
    await first
  })
  expect(started).toEqual([0, 1, 2])
  expect(times).toHaveLength(3)
})

test('an open loop fails with its work, and ends with its signal', async () => {
  await expect(openLoop({ rate: 1_000, count: 2 }, () => Promise.reject(new Error('no')))).rejects.toThrow(
    'no',
  )
  const signal = AbortSignal.abort(new Error('ended'))
  await expect(openLoop({ rate: 1, count: 2, signal }, async () => undefined)).rejects.toThrow('ended')
})

test('a closed loop keeps so many in flight, and does each once', async () => {
  let [now, most] = [0, 0]
  const done: number[] = []
  const { times } = await closedLoop({ inFlight: 3, count: 10 }, async (n) => {
    most = Math.max(most, ++now)
    await new Promise((resolve) => setImmediate(resolve))
    now--
    done.push(n)
  })
  expect(most).toBe(3)
  expect(done.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect(times).toHaveLength(10)
})
