import { afterEach, describe, expect, it } from 'vitest'
import { PHONE, Stage } from './stage.ts'

const stages: Stage[] = []
afterEach(() => Promise.all(stages.splice(0).map((stage) => stage.strike())))

const paired = async () => {
  const stage = await Stage.set()
  stages.push(stage)
  const node = await stage.pairedNode()
  return { stage, node, ...stage }
}

describe('endings of a connection', () => {
  it.each([428, 500, 503])(
    '%s: comes back by itself, credentials kept',
    { timeout: 60_000 },
    async (code) => {
      const { stage, simulator, orchestrator } = await paired()
      const before = stage.states.length
      simulator.closeWith({ jid: PHONE, code })
      await orchestrator.until(
        () => stage.states.slice(before).some(({ state }) => state === 'active'),
        'active again',
      )
      expect(stage.states[before]).toMatchObject({ state: 'reconnecting' })
      expect(orchestrator.creds).not.toBeNull()
    },
  )

  it.each(['tcp_reset'] as const)('%s: comes back by itself', { timeout: 60_000 }, async (how) => {
    const { stage, simulator, orchestrator } = await paired()
    const before = stage.states.length
    simulator.drop({ jid: PHONE, how })
    await orchestrator.until(
      () => stage.states.slice(before).some(({ state }) => state === 'active'),
      'active again',
    )
  })

  it.each([402, 405, 429])('%s: waits long, credentials kept', { timeout: 60_000 }, async (code) => {
    const { stage, simulator, orchestrator } = await paired()
    simulator.closeWith({ jid: PHONE, code, expire: 600 })
    const report = await orchestrator.until(
      () => stage.states.find((state) => state.code === code),
      `state ${code}`,
    )
    expect(report.state).toBe('reconnecting')
    expect(Date.parse(report.retry_at ?? '') - Date.now()).toBeGreaterThan(60_000)
    expect(orchestrator.creds).not.toBeNull()
  })

  it.each([403, 411])('%s: stops, credentials kept', { timeout: 60_000 }, async (code) => {
    const { stage, simulator, orchestrator } = await paired()
    simulator.closeWith({ jid: PHONE, code })
    const report = await orchestrator.until(
      () => stage.states.find((state) => state.code === code),
      `state ${code}`,
    )
    expect(report).toMatchObject({ state: 'error' })
    expect(report.retry_at).toBeUndefined()
    expect(orchestrator.creds).not.toBeNull()
  })

  it('401: the phone has unlinked us, credentials go', { timeout: 60_000 }, async () => {
    const { stage, simulator, orchestrator, node } = await { ...(await paired()) }
    simulator.unlink({ jid: PHONE })
    await orchestrator.until(() => stage.state === 'logged_out', 'logged out')
    expect(orchestrator.creds).toBeNull()
    expect(await node.session()).toEqual({ state: 'logged_out' })
  })

  it('440: waits before it tries to take the connection back', { timeout: 60_000 }, async () => {
    const { stage, simulator, orchestrator } = await paired()
    simulator.closeWith({ jid: PHONE, code: 440 })
    const report = await orchestrator.until(() => stage.states.find(({ code }) => code === 440), 'state 440')
    expect(report).toMatchObject({ state: 'reconnecting', reason: 'replaced' })
    expect(Date.parse(report.retry_at ?? '') - Date.now()).toBeGreaterThan(1_000)
    expect(orchestrator.creds).not.toBeNull()
  })
})
