import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createGather } from './gather.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('property: each item gets its own result, whatever comes when; those that fail, fail alone', async () => {
  const plan = fc.array(fc.record({ turns: fc.nat(3), fails: fc.boolean() }), { maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(
      plan,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 3 }),
      async (items, most, atOnce) => {
        let running = 0
        const gather = createGather<number, string>({
          ...{ most, atOnce },
          async run(batch) {
            running++
            expect(running).toBeLessThanOrEqual(atOnce)
            expect(batch.length).toBeLessThanOrEqual(most)
            await turn()
            running--
            if (batch.some((n) => items[n]?.fails)) throw new Error('all of them')
            return batch.map((n) => `result ${n}`)
          },
          async runAlone(n) {
            await turn()
            if (items[n]?.fails) throw new Error(`failure ${n}`)
            return `result ${n}`
          },
        })
        const results = await Promise.all(
          items.map(async ({ turns }, n) => {
            for (let i = 0; i < turns; i++) await turn()
            return gather(n).catch((error: Error) => error.message)
          }),
        )
        expect(results).toEqual(items.map(({ fails }, n) => `${fails ? 'failure' : 'result'} ${n}`))
      },
    ),
  )
})

test('what comes together goes together, and what comes meanwhile goes next, in the order of arrival', async () => {
  const batches: number[][] = []
  const gather = createGather<number, number>({
    ...{ most: 100, atOnce: 1 },
    async run(batch) {
      batches.push(batch)
      await turn()
      return batch
    },
    runAlone: async (n) => n,
  })
  const first = [1, 2, 3].map(gather)
  await turn()
  const later = [4, 5].map(gather)
  await Promise.all([...first, ...later])
  expect(batches).toEqual([
    [1, 2, 3],
    [4, 5],
  ])
})

test('one that is tried alone holds up nobody', async () => {
  let release: (value: string) => void = () => undefined
  const gather = createGather<string, string>({
    ...{ most: 100, atOnce: 1 },
    async run(batch) {
      if (batch.includes('stuck')) throw new Error('a lock')
      return batch
    },
    runAlone: (item) =>
      item === 'stuck'
        ? new Promise((resolve) => {
            release = resolve
          })
        : Promise.resolve(item),
  })
  const stuck = gather('stuck')
  expect(await gather('with it')).toBe('with it')
  expect(await gather('after it')).toBe('after it')
  release('free')
  expect(await stuck).toBe('free')
})
