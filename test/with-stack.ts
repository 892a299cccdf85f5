/** A stack for the tests of one file: on the run's own Postgres, torn down afterwards whatever happened. */
import { afterAll, beforeAll, describe } from 'vitest'
import type { RuntimeChoice } from '../harness/engine.ts'
import { type EventStream, openEvents } from '../harness/palomar-client.ts'
import { type Stack, type StackOptions, startStack } from '../harness/stack.ts'
import { detectEngine } from '../orchestrator/src/nodes/runtime/engine.ts'
import { createEmptyDatabase, dropDatabase } from '../orchestrator/test/database.ts'

const engine = await detectEngine()
if (process.env.CI === 'true' && !engine)
  throw new Error('CI must have a container engine: scripts/ensure-docker.sh')

export interface Running {
  stack: Stack
  events: EventStream
}

/** Runs the tests once with each driver; with docker only where an engine answers. */
export function withEachRuntime(
  name: string,
  options: Omit<StackOptions, 'runtime'>,
  tests: (running: Running, runtime: RuntimeChoice) => void,
): void {
  describe(`${name} (process)`, () => tests(useStack({ ...options, runtime: 'process' }), 'process'))
  const title = engine ? `${name} (docker)` : `${name} (docker: skipped, no container engine answers)`
  describe.skipIf(!engine)(title, () => tests(useStack({ ...options, runtime: 'docker' }), 'docker'))
}

/** Starts a stack before the tests of the surrounding block. Read its members inside tests only. */
export function useStack(options: StackOptions): Running {
  const running = {} as Running
  let databaseUrl: string | undefined
  beforeAll(async () => {
    databaseUrl = await createEmptyDatabase()
    running.stack = await startStack({ ...options, databaseUrl })
    running.events = await openEvents(running.stack.client)
  })
  afterAll(async () => {
    running.events?.close()
    await running.stack?.close()
    if (databaseUrl) await dropDatabase(databaseUrl)
  })
  return running
}
