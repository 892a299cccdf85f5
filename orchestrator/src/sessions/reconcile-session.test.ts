import { expect, test } from 'vitest'
import type { NodeStatus } from '../nodes/runtime/runtime.ts'
import { type Action, type CurrentNode, reconcileSession } from './reconcile-session.ts'
import { type SessionState, sessionStates } from './state-table.ts'

const now = new Date('2030-01-01T00:10:00Z')
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1_000)

const session = { desired: 'running' as const, state: 'active' as SessionState, notBefore: null }
const stopped = { ...session, desired: 'stopped' as const }
const loggedOut = { ...session, state: 'logged_out' as const }
const node: CurrentNode = {
  status: 'running',
  started: true,
  startedAt: ago(300),
  attachedAt: ago(299),
  lastSeenAt: ago(5),
  failedProbes: 0,
}
const unstarted: CurrentNode = {
  ...node,
  status: 'starting',
  started: false,
  attachedAt: null,
  lastSeenAt: null,
}
const running: NodeStatus = { status: 'running', address: 'http://a:1' }
const exited: NodeStatus = { status: 'exited', exitCode: 137, oomKilled: true, reason: 'ran out of memory' }
const gone: NodeStatus = { status: 'gone' }
const unknown: NodeStatus = { status: 'unknown', reason: 'the engine is down' }
const ending = { reason: 'ran out of memory', exitCode: 137, oomKilled: true }
const keep = (healthy: boolean): Action => ({ do: 'keep', address: 'http://a:1', healthy })
const replace = { do: 'replace', reason: expect.any(String) }

test.each([
  ['no node: start', session, undefined, gone, undefined, { do: 'start' }],
  [
    'no node, back-off over: start',
    { ...session, notBefore: ago(1) },
    undefined,
    gone,
    undefined,
    { do: 'start' },
  ],
  [
    'no node, back-off: later',
    { ...session, notBefore: ago(-5) },
    undefined,
    gone,
    undefined,
    { do: 'start', at: ago(-5) },
  ],
  ['no node, to be stopped', stopped, undefined, gone, undefined, { do: 'nothing' }],
  ['no node, logged out: waits for a person', loggedOut, undefined, gone, undefined, { do: 'nothing' }],

  ['running, healthy', session, node, running, true, keep(true)],
  ['running, one silence', session, { ...node, failedProbes: 0 }, running, false, keep(false)],
  [
    'running, three silences within a short time',
    session,
    { ...node, failedProbes: 2, lastSeenAt: ago(10) },
    running,
    false,
    keep(false),
  ],
  [
    'running, long silence but asked twice',
    session,
    { ...node, failedProbes: 1, lastSeenAt: ago(60) },
    running,
    false,
    keep(false),
  ],
  [
    'running, silent for good',
    session,
    { ...node, failedProbes: 2, lastSeenAt: ago(16) },
    running,
    false,
    replace,
  ],
  [
    'running, never seen',
    session,
    { ...node, attachedAt: null, lastSeenAt: null, failedProbes: 2, startedAt: ago(16) },
    running,
    false,
    replace,
  ],
  [
    'running, not attached yet',
    session,
    { ...node, attachedAt: null, startedAt: ago(30) },
    running,
    true,
    keep(true),
  ],
  [
    'running, cannot attach',
    session,
    { ...node, attachedAt: null, startedAt: ago(61) },
    running,
    true,
    replace,
  ],
  [
    'running, its start forgotten: adopted',
    session,
    { ...unstarted, startedAt: ago(5) },
    running,
    true,
    keep(true),
  ],

  ['exited', session, node, exited, undefined, { do: 'bury', ending }],
  [
    'vanished',
    session,
    node,
    gone,
    undefined,
    { do: 'bury', ending: { ...ending, reason: 'it vanished', exitCode: null, oomKilled: false } },
  ],
  ['never started', session, unstarted, gone, undefined, { do: 'start_again' }],
  ['never started, exited at once', session, unstarted, exited, undefined, { do: 'bury', ending }],

  ['to be stopped, running', stopped, node, running, undefined, { do: 'stop' }],
  ['to be stopped, exited', stopped, node, exited, undefined, { do: 'stop' }],
  ['to be stopped, gone', stopped, node, gone, undefined, { do: 'stop' }],
  ['to be stopped, never started', stopped, unstarted, gone, undefined, { do: 'stop' }],
  ['logged out, running', loggedOut, node, running, undefined, { do: 'stop' }],
  [
    'to be replaced on request',
    session,
    { ...node, status: 'stopping' as const },
    running,
    true,
    { do: 'stop' },
  ],
] as const)('%s', (_name, row, current, status, healthy, expected) => {
  expect(reconcileSession(row, current, { status, healthy }, now)).toEqual(expected)
})

test('unknown is never gone: nothing is done, whatever the row says', () => {
  for (const state of sessionStates)
    for (const desired of ['running', 'stopped'] as const)
      for (const current of [node, unstarted, { ...node, status: 'stopping' as const, failedProbes: 9 }])
        expect(
          reconcileSession({ desired, state, notBefore: null }, current, { status: unknown }, now),
        ).toEqual({
          do: 'nothing',
        })
})
