/** What tests of the docker driver share: whether there is an engine, and an image of the fixture program. */
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { detectEngine } from './engine.ts'

export const hasEngine = await detectEngine()
/** the engine's socket, where there is one to put a proxy in front of */
export const engineSocket = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(
  /^unix:\/\//,
  '',
)

export const fixtureProgram = fileURLToPath(new URL('./fixture-node.mjs', import.meta.url))
export const imageRecipes = fileURLToPath(new URL('../../../../deploy/images', import.meta.url))

/** Unique to this run, so that runs beside it on the same engine do not meet. */
export const runId = randomUUID().slice(0, 8)

/** Skips without an engine; says so, and fails where an engine was promised. */
export function describeWithEngine(name: string, body: () => void): void {
  if (hasEngine) {
    describe(name, { timeout: 40_000 }, body)
    return
  }
  test.skipIf(!process.env.CI)(`${name}: skipped, no container engine answers`, () => {
    expect(hasEngine, 'CI must have a container engine: scripts/ensure-docker.sh').toBe(true)
  })
}
