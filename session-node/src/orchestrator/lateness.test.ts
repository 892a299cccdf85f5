import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { watchLateness } from './lateness.ts'

const deferred = () => {
  let resolve: (value: string) => void = () => undefined
  let reject: (error: Error) => void = () => undefined
  const promise = new Promise<string>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('tells once that something is late, and once that nothing is any more', async () => {
  const told: boolean[] = []
  const watch = watchLateness(1_000, (late) => told.push(late))
  const answers = [0, 1, 2].map(() => deferred())
  const [quick, first, second] = answers.map(({ promise }) => watch(promise))
  answers[0]?.resolve('quick')
  expect(await quick).toBe('quick')
  await vi.advanceTimersByTimeAsync(999)
  expect(told).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(told).toEqual([true])
  answers[1]?.resolve('first')
  expect(await first).toBe('first')
  expect(told).toEqual([true])
  answers[2]?.reject(new Error('refused'))
  await expect(second).rejects.toThrow('refused')
  expect(told).toEqual([true, false])
})
