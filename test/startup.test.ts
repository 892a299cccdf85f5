import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../harness/orchestrator-process.ts'
import { detectEngine } from '../orchestrator/src/nodes/runtime/engine.ts'
import { createEmptyDatabase, dropDatabase } from '../orchestrator/test/database.ts'

const bundle = path.resolve(import.meta.dirname, '../orchestrator/dist/main.mjs')
const engine = await detectEngine()

/** Starts the orchestrator with these settings and waits for its end; one that does not end is killed by the test's time limit. */
async function startUp(
  env: Record<string, string>,
): Promise<{ code: number | null; stderr: string; stdout: string }> {
  const child = spawn(process.execPath, [bundle], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env } as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  let stdout = ''
  child.stderr.on('data', (data) => {
    stderr += data
  })
  child.stdout.on('data', (data) => {
    stdout += data
  })
  const [code] = await once(child, 'close')
  return { code, stderr, stdout }
}

describe('what keeps it from starting is one clear line', () => {
  let database: string
  let dataDir: string
  beforeAll(async () => {
    database = await createEmptyDatabase()
    dataDir = mkdtempSync(path.join(tmpdir(), 'palomar-startup-'))
  })
  afterAll(async () => {
    await dropDatabase(database)
    rmSync(dataDir, { recursive: true })
  })
  const base = () => ({
    DATABASE_URL: database,
    PALOMAR_DATA_DIR: dataDir,
    PALOMAR_HTTP_PORT: '0',
    PALOMAR_INTERNAL_PORT: '0',
    PALOMAR_RUNTIME: 'process',
    PALOMAR_ADMIN_KEY: 'k'.repeat(32),
  })
  const oneLine = (stderr: string) => {
    const lines = stderr.trim().split('\n')
    expect(lines, stderr).toHaveLength(1)
    expect(stderr).toMatch(/^palomar: /)
    return lines[0]
  }

  test('Postgres unreachable', async () => {
    const port = await freePort()
    const { code, stderr } = await startUp({
      ...base(),
      DATABASE_URL: `postgres://nobody@127.0.0.1:${port}/x`,
    })
    expect(code).toBe(1)
    expect(oneLine(stderr)).toMatch(/postgres/i)
    expect(stderr).toContain(String(port))
  })

  test('port taken', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = address && typeof address === 'object' ? address.port : 0
    const { code, stderr } = await startUp({ ...base(), PALOMAR_HTTP_PORT: String(port) })
    server.close()
    expect(code).toBe(1)
    expect(oneLine(stderr)).toContain(`port ${port}`)
    expect(stderr).toContain('PALOMAR_HTTP_PORT')
  })

  test('Docker missing', async () => {
    const { code, stderr } = await startUp({
      ...base(),
      PALOMAR_RUNTIME: 'docker',
      DOCKER_HOST: `unix://${dataDir}/no-engine.sock`,
    })
    expect(code).toBe(1)
    expect(oneLine(stderr)).toMatch(/engine.*PALOMAR_RUNTIME=process/)
  })

  test.skipIf(!engine)('image missing (needs a container engine)', async () => {
    const { code, stderr } = await startUp({
      ...base(),
      PALOMAR_RUNTIME: 'docker',
      PALOMAR_INSTALLATION: 'palomar-startup-test',
      PALOMAR_SESSION_IMAGE: 'palomar/no-such-image:0',
    })
    expect(code).toBe(1)
    expect(oneLine(stderr)).toContain('palomar/no-such-image:0')
  })

  test('a bad setting is named', async () => {
    const { code, stderr } = await startUp({
      ...base(),
      PALOMAR_HTTP_PORT: 'eighty',
      PALOMAR_SECRET_KEY: 'short',
    })
    expect(code).toBe(1)
    expect(oneLine(stderr)).toMatch(
      /PALOMAR_SECRET_KEY.*PALOMAR_HTTP_PORT|PALOMAR_HTTP_PORT.*PALOMAR_SECRET_KEY/,
    )
  })
})
