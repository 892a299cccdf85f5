import { describe, expect, it } from 'vitest'
import { type Ending, reactTo } from './closing.ts'

const react = (code: number | undefined, about: Partial<Ending> = {}, history = {}) =>
  reactTo(
    { code, message: '', ...about },
    { attempt: 0, replacedAt: [], now: 1_000_000, random: () => 1, ...history },
  )

describe('reactTo', () => {
  it.each([
    [401, 'logged_out', true],
    [403, 'error', false],
    [406, 'logged_out', true],
    [411, 'error', false],
  ])('%s stops', (code, state, forget) => {
    expect(react(code)).toMatchObject({ do: 'stop', state, forget })
  })

  it.each([
    [405, 600_000],
    [408, 500],
    [428, 500],
    [429, 300_000],
    [440, 4_000],
    [500, 500],
    [503, 500],
    [515, 0],
    [599, 500],
    [undefined, 500],
  ])('%s tries again after %s ms', (code, delayMs) => {
    expect(react(code)).toMatchObject({ do: 'retry', delayMs })
  })

  it('tells the three kinds of 408 apart', () => {
    expect(react(408, { message: 'QR refs attempts ended' })).toMatchObject({
      do: 'stop',
      state: 'closed',
      forget: false,
    })
    expect(react(408, { message: 'Connection was lost' })).toMatchObject({
      do: 'retry',
      reason: 'connection_lost',
    })
    expect(react(408, { message: 'Timed Out' })).toMatchObject({ do: 'retry', reason: 'timed_out' })
  })

  it('waits out a temporary ban, or an hour when nobody says how long', () => {
    expect(react(402, { data: { expire: '60' } })).toMatchObject({ do: 'retry', delayMs: 70_000 })
    expect(react(402)).toMatchObject({ do: 'retry', delayMs: 3_610_000 })
  })

  it('backs off with attempts, up to a minute', () => {
    expect(react(428, {}, { attempt: 3 })).toMatchObject({ delayMs: 4_000 })
    expect(react(428, {}, { attempt: 30 })).toMatchObject({ delayMs: 60_000 })
    expect(react(428, {}, { attempt: 3, random: () => 0 })).toMatchObject({ delayMs: 2_000 })
  })

  it('gives way after the fifth time in half a minute that it was replaced', () => {
    const replacedAt = [0, 5, 10, 15, 20].map((second) => 1_000_000 - second * 1_000)
    expect(react(440, {}, { replacedAt })).toMatchObject({ delayMs: 30_000 })
    expect(react(440, {}, { replacedAt: replacedAt.slice(1) })).toMatchObject({ delayMs: 4_000 })
  })
})
