import { expect, it } from 'vitest'
import { Lock } from './lock.ts'

it('runs one at a time, in order, and goes on after a failure', async () => {
  const lock = new Lock()
  const order: string[] = []
  const job = (name: string, fail = false) =>
    lock.run(async () => {
      order.push(`${name} begins`)
      await new Promise(setImmediate)
      order.push(`${name} ends`)
      if (fail) throw new Error(name)
      return name
    })
  const results = await Promise.allSettled([job('a'), job('b', true), job('c')])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})
