import { connectionState } from '@palomar/session-node/contract'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  nextState,
  type SessionInput,
  type SessionState,
  sessionFacts,
  sessionStates,
} from './state-table.ts'

const inputs: SessionInput[] = [
  ...sessionFacts,
  ...connectionState.options.map((state): SessionInput => `report:${state}`),
]
const anyInputs = fc.array(fc.constantFrom(...inputs), { maxLength: 40 })

/** The states that a sequence of inputs passes through, refused ones staying where they are. */
function walk(sequence: SessionInput[]): { input: SessionInput; from: SessionState; to: SessionState }[] {
  let state: SessionState = 'created'
  return sequence.map((input) => {
    const from = state
    state = nextState(state, input) ?? state
    return { input, from, to: state }
  })
}

test('the straight way: created, started, QR, scanned, active, lost and found', () => {
  const way: SessionInput[] = [
    'node_starting',
    'report:waiting_qr',
    'report:connecting',
    'report:active',
    'report:reconnecting',
    'report:active',
    'node_exited',
    'node_starting',
    'report:connecting',
    'report:active',
  ]
  expect(walk(way).map((step) => step.to)).toEqual([
    'starting',
    'waiting_qr',
    'connecting',
    'active',
    'reconnecting',
    'active',
    'reconnecting',
    'reconnecting',
    'connecting',
    'active',
  ])
})

test('no sequence of inputs leads to a state that is not one', () => {
  fc.assert(
    fc.property(anyInputs, (sequence) => {
      for (const { to } of walk(sequence)) expect(sessionStates).toContain(to)
    }),
  )
})

test('every state can be stopped, logged out and restarted', () => {
  for (const state of sessionStates) {
    expect(nextState(state, 'stop_requested')).toBe(state === 'logged_out' ? 'logged_out' : 'closed')
    expect(nextState(state, 'logout_requested')).toBe('logged_out')
    expect(nextState(state, 'restart_requested')).toBe('starting')
  }
})

test('logged_out is left by a new request only', () => {
  fc.assert(
    fc.property(anyInputs, (sequence) => {
      for (const { input, from, to } of walk(sequence))
        if (from === 'logged_out' && to !== 'logged_out')
          expect(['start_requested', 'restart_requested']).toContain(input)
    }),
  )
})

test('only the node’s own report makes a session active, and none is heard before a node was started', () => {
  for (const state of sessionStates)
    for (const input of inputs)
      if (state !== 'active' && nextState(state, input) === 'active') expect(input).toBe('report:active')
  for (const input of inputs)
    if (input.startsWith('report:')) expect(nextState('created', input)).toBeUndefined()
})

test('a connection does not turn into a QR', () => {
  expect(nextState('active', 'report:waiting_qr')).toBeUndefined()
})

test('what the orchestrator decides holds in every state in which it can run a node', () => {
  for (const state of sessionStates) {
    expect(nextState(state, 'node_starting') === undefined).toBe(state === 'logged_out')
    if (['created', 'active', 'closed', 'logged_out'].includes(state)) continue
    expect(nextState(state, 'crash_loop')).toBe('error')
  }
})
