import { expect, test } from 'vitest'
import { schedule } from './schedule.ts'

test('a seed is a schedule', () => {
  const options = { seed: 7, minutes: 2, accounts: 4 }
  expect(schedule(options)).toEqual(schedule(options))
  expect(schedule(options)).not.toEqual(schedule({ ...options, seed: 8 }))
})

test('acts come in order of time, within the run, on accounts that exist', () => {
  const steps = schedule({ seed: 3, minutes: 1, accounts: 3 })
  expect(steps.map(({ atMs }) => atMs)).toEqual(steps.map(({ atMs }) => atMs).sort((a, b) => a - b))
  expect(steps.at(-1)?.atMs).toBeLessThanOrEqual(60_000)
  for (const { act } of steps) if ('account' in act) expect(act.account).toBeLessThan(3)
})

test('even a short run kills each kind of process, cuts each link and breaks a connection', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const acts = schedule({ seed, minutes: 0.2, accounts: 2 }).map(({ act }) =>
      'link' in act ? `${act.do} ${act.link}` : act.do,
    )
    for (const each of ['kill-node', 'kill-orchestrator', 'kill-postgres', 'drop', 'faults', 'pause-node'])
      expect(acts).toContain(each)
    for (const link of ['database', 'internal', 'simulator']) expect(acts).toContain(`cut-link ${link}`)
  }
})

test('five minutes hold fifty kills', () => {
  const kills = schedule({ seed: 1, minutes: 5, accounts: 4 }).filter(({ act }) => act.do.startsWith('kill'))
  expect(kills.length).toBeGreaterThanOrEqual(50)
})
