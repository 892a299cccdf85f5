import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CommitLog } from '../commits/commit-log.ts'
import { createLogger } from '../logger.ts'
import { holdUntilDurable } from './output-gate.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const bytes = (text: string) => Buffer.from(text)

let answers: (() => void)[]
let wire: string[]
let socket: { readyState: number; send: (data: Uint8Array, callback?: (error?: Error) => void) => void }
let log: CommitLog

beforeEach(() => {
  answers = []
  wire = []
  socket = {
    readyState: 1,
    send(data, callback) {
      wire.push(Buffer.from(data).toString())
      callback?.()
    },
  }
  log = new CommitLog({
    generation: 1,
    maxPendingBytes: 1_000_000,
    onFatal: (error) => {
      throw error
    },
    logger: createLogger('error', {}, () => undefined),
    post: () => new Promise((resolve) => answers.push(resolve)),
  })
  holdUntilDurable(socket, log)
})

const write = (id = 'a') => log.append({ keys: [{ type: 'session', id, value: '1' }] })

describe('holdUntilDurable', () => {
  it('calls back at once and lets a frame go when nothing is pending', async () => {
    let called = 0
    socket.send(bytes('ping'), () => {
      called += 1
    })
    expect(called).toBe(1)
    await turn()
    await turn()
    expect(wire).toEqual(['ping'])
  })

  it('holds a frame until a write made before it is durable', async () => {
    write()
    socket.send(bytes('receipt'))
    await turn()
    await turn()
    expect(wire).toEqual([])
    answers[0]?.()
    await turn()
    expect(wire).toEqual(['receipt'])
  })

  it('holds it for a write made in the ticks after it, as a ratchet step is', async () => {
    socket.send(bytes('message'), () => {
      void Promise.resolve().then(() => write())
    })
    await turn()
    await turn()
    expect(wire).toEqual([])
    answers[0]?.()
    await turn()
    expect(wire).toEqual(['message'])
  })

  it('does not hold it for writes of later turns', async () => {
    socket.send(bytes('message'))
    await turn()
    write()
    await turn()
    expect(wire).toEqual(['message'])
  })

  it('keeps the order: frames are numbered, none may pass another', async () => {
    write('a')
    socket.send(bytes('first'))
    await turn()
    socket.send(bytes('second'))
    await turn()
    await turn()
    expect(wire).toEqual([])
    answers[0]?.()
    await turn()
    expect(wire).toEqual(['first', 'second'])
  })

  it('is not held by entries that hold nothing back', async () => {
    log.append({ events: [{ type: 'ack', id: 'x', timestamp: 1 }] }, { withinMs: 250, holds: false })
    socket.send(bytes('ping'))
    await turn()
    await turn()
    expect(wire).toEqual(['ping'])
  })

  describe('behind an entry that waits for company', () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
    afterEach(() => void vi.useRealTimers())

    const receipt = () => log.append({ events: [{ type: 'ack', id: 'x', timestamp: 1 }] }, { withinMs: 20 })

    it('lets a frame go when that is durable, and asks for it in time', async () => {
      receipt()
      socket.send(bytes('receipt is acknowledged'))
      await turn()
      await vi.advanceTimersByTimeAsync(19)
      await turn()
      expect(answers).toHaveLength(0)
      await vi.advanceTimersByTimeAsync(1)
      await turn()
      expect(wire).toEqual([])
      answers[0]?.()
      await turn()
      expect(wire).toEqual(['receipt is acknowledged'])
    })

    it('lets all go with one commit as soon as something is written that does not wait', async () => {
      receipt()
      socket.send(bytes('receipt is acknowledged'))
      await turn()
      socket.send(bytes('message'), () => void Promise.resolve().then(() => write()))
      await turn()
      await turn()
      expect(answers).toHaveLength(1)
      expect(wire).toEqual([])
      answers[0]?.()
      await turn()
      expect(wire).toEqual(['receipt is acknowledged', 'message'])
    })
  })

  it('drops what waits when the socket has closed, and lets the socket refuse what comes after', async () => {
    write()
    socket.send(bytes('receipt'))
    await turn()
    socket.readyState = 3
    answers[0]?.()
    await turn()
    expect(wire).toEqual([])
    socket.send(bytes('late'))
    expect(wire).toEqual(['late'])
  })
})
