import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createGiveWay, type GiveWay } from './give-way.ts'

const MOST = 8
let now: number
let giveWay: GiveWay
/** those that have begun, each with what ends it */
let atWork: (() => void)[]

beforeEach(() => {
  vi.useFakeTimers()
  now = 1_000
  atWork = []
  giveWay = createGiveWay({ most: MOST, slowMs: 5, busyMs: 50, now: () => now })
})
afterEach(() => void vi.useRealTimers())

/** lets what can begin do so */
const settled = () => vi.advanceTimersByTimeAsync(0)

async function begin(count: number): Promise<void> {
  for (let n = 0; n < count; n++) void giveWay.enter().then((ended) => atWork.push(ended))
  await settled()
}

async function endAll(): Promise<void> {
  for (const ended of atWork.splice(0)) ended()
  await settled()
}

/** Accepts come for so long, each taking so long, and nothing is sent meanwhile. */
function acceptFor(durationMs: number, tookMs: number): void {
  for (const until = now + durationMs; now < until; now += 10) giveWay.accepted(1, tookMs)
}

test('while as much goes out as comes in, nobody gives way, however slow accepting is', async () => {
  for (let n = 0; n < 200; n++) {
    giveWay.accepted(1, 500)
    await begin(1)
    await endAll()
    now += 10
  }
  await begin(MOST)
  expect(atWork).toHaveLength(MOST)
})

test('while more comes in than goes out, slow accepting leaves room for one send, quick accepting for more again', async () => {
  acceptFor(2_000, 20)
  await begin(MOST)
  expect(atWork).toHaveLength(1)

  acceptFor(1_000, 1)
  await settled()
  expect(atWork.length).toBeGreaterThan(2)
  expect(atWork.length).toBeLessThan(MOST)
})

test('one goes when another has ended, in the order in which they came', async () => {
  acceptFor(2_000, 20)
  const order: number[] = []
  for (const n of [1, 2, 3]) {
    void giveWay.enter().then((ended) => {
      order.push(n)
      atWork.push(ended)
    })
  }
  await settled()
  expect(order).toEqual([1])
  await endAll()
  expect(order).toEqual([1, 2])
})

test('what waits for the network counts no more: nobody waits long for a send that hangs', async () => {
  acceptFor(2_000, 20)
  await begin(2)
  expect(atWork).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(50)
  expect(atWork).toHaveLength(2)
  // Its end gives no second place.
  atWork[0]?.()
  await begin(1)
  expect(atWork).toHaveLength(2)
})

test('once no more comes in than goes out, all may go', async () => {
  acceptFor(2_000, 20)
  await begin(MOST)
  let begun = atWork.length
  expect(begun).toBe(1)
  for (let n = 0; n < 20 && begun < MOST; n++) {
    now += 500
    await endAll()
    begun += atWork.length
  }
  expect(begun).toBe(MOST)
})
