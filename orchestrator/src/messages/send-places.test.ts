import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createSendPlaces, type SendPlaces } from './send-places.ts'

let places: SendPlaces
/** those that have begun, in their order, each with what ends it */
let begun: { name: number; end: () => void }[]

beforeEach(() => {
  vi.useFakeTimers()
  begun = []
  places = createSendPlaces({ places: 2, busyMs: 20 })
})
afterEach(() => void vi.useRealTimers())

/** lets what can begin do so */
const settled = () => vi.advanceTimersByTimeAsync(0)
const names = () => begun.map(({ name }) => name)

async function begin(...wanted: number[]): Promise<void> {
  for (const name of wanted) void places.enter().then((end) => begun.push({ name, end }))
  await settled()
}

async function end(name: number): Promise<void> {
  begun.find((one) => one.name === name)?.end()
  await settled()
}

test('as many begin as there are places, and each that ends lets in the next, in the order in which they came', async () => {
  await begin(1, 2, 3, 4)
  expect(names()).toEqual([1, 2])
  await end(2)
  expect(names()).toEqual([1, 2, 3])
  await end(1)
  expect(names()).toEqual([1, 2, 3, 4])
})

test('one that hangs waits for the network, and nobody waits for it', async () => {
  await begin(1, 2, 3, 4, 5)
  await vi.advanceTimersByTimeAsync(20)
  expect(names()).toEqual([1, 2, 3, 4])
  await vi.advanceTimersByTimeAsync(20)
  expect(names()).toEqual([1, 2, 3, 4, 5])
})

test('its end gives no second place, nor does an end that is told twice', async () => {
  await begin(1, 2, 3, 4, 5, 6, 7)
  await vi.advanceTimersByTimeAsync(20)
  await end(1)
  await end(1)
  expect(names()).toEqual([1, 2, 3, 4])
  await end(3)
  await end(3)
  expect(names()).toEqual([1, 2, 3, 4, 5])
})

test('a place that nobody waited for is there for the next', async () => {
  await begin(1, 2)
  await end(1)
  await end(2)
  await begin(3, 4, 5)
  expect(names()).toEqual([1, 2, 3, 4])
})
