import { expect, it } from 'vitest'
import { FatalError } from '../errors.ts'
import { readEnvironment } from './environment.ts'

const complete = {
  PALOMAR_SESSION_ID: 's',
  PALOMAR_NODE_ID: 'n',
  PALOMAR_NODE_TOKEN: 'x'.repeat(16),
  PALOMAR_ORCHESTRATOR_URL: 'http://127.0.0.1:1',
}

it('reads what it needs, and talks to WhatsApp only', () => {
  const environment = readEnvironment({ ...complete, PALOMAR_SIMULATOR_URL: 'ws://127.0.0.1:2' })
  expect(environment).toMatchObject({ PORT: 3000, HOST: '0.0.0.0', simulator: undefined })
})

it('says what is missing', () => {
  expect(() => readEnvironment({ ...complete, PALOMAR_NODE_TOKEN: 'short' })).toThrow(FatalError)
  expect(() => readEnvironment({ ...complete, PALOMAR_NODE_TOKEN: 'short' })).toThrow(/PALOMAR_NODE_TOKEN/)
})
