import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { detectEngine } from '../orchestrator/src/nodes/runtime/engine.ts'

const run = promisify(execFile)
const engine = await detectEngine()
const root = path.resolve(import.meta.dirname, '..')

/** Processes that carry the run's own data directory in their command line or environment. */
async function processesOf(dataDir: string): Promise<string[]> {
  const { stdout } = await run('sh', [
    '-c',
    `grep -lsF "${dataDir}" /proc/[0-9]*/environ /proc/[0-9]*/cmdline | cut -d/ -f3 | sort -u`,
  ]).catch(() => ({ stdout: '' }))
  return stdout
    .split('\n')
    .filter((pid) => pid && Number(pid) !== process.pid && existsSync(`/proc/${pid}/exe`))
}

/** Containers and networks that carry the label of that demo. */
async function dockerObjects(installation: string): Promise<string[]> {
  if (!engine) return []
  const label = `label=palomar.installation=${installation}`
  const [containers, networks] = await Promise.all([
    run('docker', ['ps', '-aq', '--filter', label]),
    run('docker', ['network', 'ls', '-q', '--filter', label]),
  ])
  return `${containers.stdout}${networks.stdout}`.split('\n').filter(Boolean)
}

describe.each(['process', 'docker'] as const)('npm run demo -- --once --runtime %s', (runtime) => {
  test.skipIf(runtime === 'docker' && !engine).each(['pn', 'lid'])('addressing %s', async (addressing) => {
    const dataDir = mkdtempSync(path.join(tmpdir(), 'palomar-demo-'))
    const child = spawn(
      process.execPath,
      [
        '--import',
        import.meta.resolve('tsx'),
        'scripts/demo.ts',
        '--once',
        '--runtime',
        runtime,
        '--addressing',
        addressing,
      ],
      { cwd: root, env: { ...process.env, PALOMAR_DATA_DIR: dataDir }, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let output = ''
    let complaints = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    child.stderr.on('data', (data) => {
      complaints += data
    })
    const [code] = await once(child, 'close')
    expect(code, output + complaints).toBe(0)
    const line = JSON.parse(output.trim().split('\n').at(-1) ?? '')
    expect(line).toMatchObject({
      demo: 'ok',
      runtime,
      accounts: 2,
      sent: 4,
      delivered: 4,
      read: 2,
      received: 4,
    })
    expect(output).toContain('█')
    expect(line.ws_events).toBeGreaterThanOrEqual(14)
    expect(readdirSync(dataDir)).toEqual([])
    expect(await processesOf(dataDir)).toEqual([])
    expect(await dockerObjects(`palomar-demo-${child.pid}`)).toEqual([])
    rmSync(dataDir, { recursive: true })
  })
})
