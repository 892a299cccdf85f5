import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type CommitRequest, commitRequest } from '../../contract/index.ts'
import { exitCodes, FatalError } from '../errors.ts'
import { createLogger } from '../logger.ts'
import { CommitLog } from './commit-log.ts'

const quiet = createLogger('error', {}, () => undefined)
const event = (digit: number) => ({ type: 'settled' as const, hashes: [String(digit).repeat(64)] })
const digits = ({ events }: CommitRequest) =>
  events.map((found) => (found.type === 'settled' ? Number(found.hashes[0]?.[0]) : -1))

/** a log whose commits are answered one by one, by hand */
const handled = (options: { maxPendingBytes?: number; limits?: { bytes: number; items: number } } = {}) => {
  const posts: { body: string; commit: CommitRequest; answer: () => void; fail: (error: Error) => void }[] =
    []
  const fatal = vi.fn()
  const log = new CommitLog({
    generation: 1,
    maxPendingBytes: 1_000_000,
    onFatal: fatal,
    logger: quiet,
    post: (body) =>
      new Promise((resolve, reject) => {
        posts.push({ body, commit: commitRequest.parse(JSON.parse(body)), answer: resolve, fail: reject })
      }),
    ...options,
  })
  const post = (index: number) =>
    vi.waitFor(() => posts[index] ?? Promise.reject(new Error(`no post ${index}`)))
  return { log, posts, post, fatal }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

const lazy = { withinMs: 250, holds: false }

describe('CommitLog', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())

  it('makes one commit of a turn, and gathers while one is in flight', async () => {
    const { log, posts, post } = handled()
    log.append({ events: [event(1)] })
    await Promise.resolve()
    log.append({ events: [event(2)] })
    const first = await post(0)
    expect(digits(first.commit)).toEqual([1, 2])
    for (const digit of [3, 4, 5]) {
      log.append({ events: [event(digit)] })
      await turn()
    }
    expect(posts).toHaveLength(1)
    first.answer()
    const second = await post(1)
    expect(digits(second.commit)).toEqual([3, 4, 5])
    expect([first.commit.seq, second.commit.seq]).toEqual([1, 2])
  })

  it('says when a position is durable, and not before', async () => {
    const { log, post } = handled()
    const order: string[] = []
    const one = log.append({ events: [event(1)] })
    void log.durable(one).then(() => order.push('one'))
    const first = await post(0)
    const two = log.append({ events: [event(2)] })
    void log.durable(two).then(() => order.push('two'))
    expect(order).toEqual([])
    first.answer()
    const second = await post(1)
    expect(order).toEqual(['one'])
    expect(log.durablePosition).toBe(one)
    second.answer()
    await log.durable(two)
    expect(order).toEqual(['one', 'two'])
    await log.durable(one)
  })

  it('sends a commit again until it is answered, the same to the byte', async () => {
    const { log, post } = handled()
    const position = log.append({ events: [event(1)] })
    const first = await post(0)
    first.fail(new Error('connection reset'))
    await turn()
    log.append({ events: [event(2)] })
    await vi.advanceTimersByTimeAsync(100)
    const again = await post(1)
    expect(again.body).toBe(first.body)
    again.answer()
    await log.durable(position)
    expect(digits((await post(2)).commit)).toEqual([2])
  })

  it('ends the node when it is fenced off, and sends nothing more', async () => {
    const { log, posts, post, fatal } = handled()
    log.append({ events: [event(1)] })
    const error = new FatalError(exitCodes.fenced, 'fenced')
    ;(await post(0)).fail(error)
    await turn()
    expect(fatal).toHaveBeenCalledExactlyOnceWith(error)
    log.append({ events: [event(2)] })
    await turn()
    expect(posts).toHaveLength(1)
  })

  it('lets entries wait for company that may, as long as they may', async () => {
    const { log, posts, post } = handled()
    log.append({ events: [event(1)] }, lazy)
    await turn()
    expect(posts).toHaveLength(0)
    expect(log.barrier).toBe(0)
    log.append({ events: [event(2)] })
    const first = await post(0)
    expect(digits(first.commit)).toEqual([1, 2])
    log.append({ events: [event(3)] }, lazy)
    first.answer()
    await turn()
    expect(posts).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(250)
    expect(digits((await post(1)).commit)).toEqual([3])
  })

  it('writes what came due while a commit was in flight', async () => {
    const { log, post } = handled()
    log.append({ events: [event(1)] })
    const first = await post(0)
    log.append({ events: [event(2)] }, lazy)
    await vi.advanceTimersByTimeAsync(250)
    first.answer()
    expect(digits((await post(1)).commit)).toEqual([2])
  })

  it('goes by the entry that may wait least', async () => {
    const { log, posts, post } = handled()
    log.append({ events: [event(1)] }, lazy)
    log.append({ events: [event(2)] }, { withinMs: 20 })
    log.append({ events: [event(3)] }, { withinMs: 100 })
    await vi.advanceTimersByTimeAsync(19)
    expect(posts).toHaveLength(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(digits((await post(0)).commit)).toEqual([1, 2, 3])
  })

  it('counts what waits in the barrier, unless it holds nothing back', async () => {
    const { log, post } = handled()
    const waiting = log.append({ events: [event(1)] }, { withinMs: 20 })
    log.append({ events: [event(2)] }, lazy)
    expect(log.barrier).toBe(waiting)
    const durable = vi.fn()
    void log.durable(log.barrier).then(durable)
    await vi.advanceTimersByTimeAsync(20)
    const first = await post(0)
    expect(durable).not.toHaveBeenCalled()
    first.answer()
    await turn()
    expect(durable).toHaveBeenCalledOnce()
  })

  it('sends what waits with the first entry that does not, in order, and then nothing more', async () => {
    const { log, posts, post } = handled()
    log.append({ events: [event(1)] }, { withinMs: 20 })
    const last = log.append({ events: [event(2)] })
    const first = await post(0)
    expect(digits(first.commit)).toEqual([1, 2])
    first.answer()
    await log.durable(last)
    await vi.advanceTimersByTimeAsync(500)
    expect(posts).toHaveLength(1)
  })

  it('in a hurry sends soon what waits and what comes meanwhile, once; later ones wait again', async () => {
    const { log, posts, post } = handled()
    log.hurry()
    log.append({ events: [event(1)] }, lazy)
    log.hurry()
    log.append({ events: [event(2)] }, lazy)
    await vi.advanceTimersByTimeAsync(3)
    const first = await post(0)
    expect(digits(first.commit)).toEqual([1, 2])
    first.answer()
    await turn()
    log.append({ events: [event(3)] }, lazy)
    await vi.advanceTimersByTimeAsync(249)
    expect(posts).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(digits((await post(1)).commit)).toEqual([3])
  })

  it('lets wait what may when the commit in flight is answered', async () => {
    const { log, posts, post } = handled()
    log.append({ events: [event(1)] })
    const first = await post(0)
    log.append({ events: [event(2)] }, { withinMs: 20 })
    first.answer()
    await turn()
    expect(posts).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(20)
    expect(digits((await post(1)).commit)).toEqual([2])
  })

  it('has nothing to drain when nothing is pending', async () => {
    const { log, posts } = handled()
    await log.drain()
    await turn()
    expect(posts).toHaveLength(0)
  })

  it('drains what may wait at once', async () => {
    const { log, post } = handled()
    log.append({ events: [event(1)] }, lazy)
    const drained = log.drain()
    ;(await post(0)).answer()
    await drained
    expect(log.stats()).toEqual({ pending: 0, pending_bytes: 0, durable_seq: 1 })
  })

  it('splits what does not fit one commit', async () => {
    const { log, post } = handled({ limits: { bytes: 1_000_000, items: 2 } })
    for (const digit of [1, 2, 3]) log.append({ events: [event(digit)] })
    const first = await post(0)
    expect(digits(first.commit)).toEqual([1, 2])
    first.answer()
    expect(digits((await post(1)).commit)).toEqual([3])
  })

  it('tells when too much is pending, and when that is over', async () => {
    const { log, post } = handled({ maxPendingBytes: 300 })
    const pressure = vi.fn()
    log.onPressure = pressure
    log.append({ events: [event(1)] })
    expect(pressure).not.toHaveBeenCalled()
    const last = log.append({ events: [event(2), event(3)] })
    expect(pressure).toHaveBeenCalledExactlyOnceWith(true)
    expect(log.overloaded).toBe(true)
    ;(await post(0)).answer()
    await log.durable(last)
    expect(pressure).toHaveBeenLastCalledWith(false)
    expect(log.overloaded).toBe(false)
  })
})
