import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createGather } from './gather.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('property: each item gets its own result, in the order of its key, whatever comes when; those that fail, fail alone', async () => {
  const plan = fc.array(fc.record({ turns: fc.nat(3), fails: fc.boolean(), key: fc.nat(4) }), {
    maxLength: 40,
  })
  await fc.assert(
    fc.asyncProperty(
      plan,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 3 }),
      async (items, most, atOnce) => {
        let running = 0
        const atWork = new Set<number | undefined>()
        const begun = new Map<number | undefined, number[]>()
        const came = new Map<number | undefined, number[]>()
        const note = (of: typeof came, n: number) =>
          of.set(items[n]?.key, [...(of.get(items[n]?.key) ?? []), n])
        const gather = createGather<number, string>({
          ...{ most, atOnce },
          keyOf: (n) => String(items[n]?.key),
          async run(batch) {
            running++
            const keys = new Set(batch.map((n) => items[n]?.key))
            for (const key of keys) expect(atWork).not.toContain(key)
            for (const key of keys) atWork.add(key)
            for (const n of batch) note(begun, n)
            expect(running).toBeLessThanOrEqual(atOnce)
            expect(batch.length).toBeLessThanOrEqual(most)
            await turn()
            running--
            for (const key of keys) atWork.delete(key)
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
            note(came, n)
            return gather(n).catch((error: Error) => error.message)
          }),
        )
        expect(results).toEqual(items.map(({ fails }, n) => `${fails ? 'failure' : 'result'} ${n}`))
        expect(begun).toEqual(came)
      },
    ),
  )
})

test('what comes together goes together, and what comes meanwhile goes next, in the order of arrival', async () => {
  const batches: number[][] = []
  const gather = createGather<number, number>({
    ...{ most: 100, atOnce: 1 },
    keyOf: String,
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
    keyOf: String,
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

test('what comes while another key is at work begins at once; what has the same key waits for it', async () => {
  const begun: string[] = []
  let release: () => void = () => undefined
  const gather = createGather<string, string>({
    ...{ most: 100, atOnce: 2 },
    keyOf: ([key]) => String(key),
    async run(batch) {
      begun.push(batch.join())
      if (batch.includes('a1'))
        await new Promise<void>((resolve) => {
          release = resolve
        })
      return batch
    },
    runAlone: async (item) => item,
  })
  const first = gather('a1')
  await turn()
  const second = gather('a2')
  expect(await gather('b1')).toBe('b1')
  expect(begun).toEqual(['a1', 'b1'])
  release()
  await Promise.all([first, second])
  expect(begun).toEqual(['a1', 'b1', 'a2'])
})
