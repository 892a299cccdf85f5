/**
 * Makes a fresh clone ready, then runs what was asked: `node scripts/setup.mjs [file [args…]]`.
 *
 * Installs, generates and builds, each only when its inputs have changed, and says so in a line. It must run before
 * anything is installed: plain JavaScript, Node's own modules only. The file then runs in this same process, so that
 * signals and the exit code need no passing on.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const at = (file) => path.join(root, file)

/** What is made of what. A step whose script does not exist is skipped. */
const steps = [
  {
    name: 'database client',
    script: 'scripts/generate.ts',
    inputs: ['prisma/schema.prisma', 'prisma.config.ts', 'scripts/generate.ts', 'package-lock.json'],
    output: 'orchestrator/src/db/generated/client.ts',
  },
  {
    name: 'session node',
    script: 'session-node/build.ts',
    inputs: ['session-node', 'package-lock.json'],
    output: 'session-node/dist',
  },
  {
    name: 'orchestrator',
    script: 'orchestrator/build.ts',
    inputs: ['orchestrator', 'session-node/contract', 'prisma/schema.prisma', 'package-lock.json'],
    output: 'orchestrator/dist',
  },
]

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  fail(`Palomar needs Node 20.19 or newer; this is ${process.versions.node}. See https://nodejs.org.`)
}

/** Runs one set-up at a time: a second one waits, then finds nothing left to do. */
async function withLock(work) {
  const lock = at('.palomar/setup.lock')
  fs.mkdirSync(path.dirname(lock), { recursive: true })
  let told = false
  while (!take(lock)) {
    const owner = Number(readOr(lock, ''))
    if (owner && !isRunning(owner)) release(lock, owner)
    else if (!told) {
      say(`waiting for another set-up${owner ? ` (process ${owner})` : ''}`)
      told = true
    }
    await sleep(100)
  }
  try {
    work()
  } finally {
    fs.rmSync(lock)
  }
}

function take(lock) {
  // Written aside and linked: nobody ever reads a lock without its owner.
  const mine = `${lock}.${process.pid}`
  fs.writeFileSync(mine, String(process.pid))
  try {
    fs.linkSync(mine, lock)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  } finally {
    fs.rmSync(mine)
  }
}

/** Removes the lock of a dead owner. Moved away first: another waiter may have removed it and taken its own since. */
function release(lock, owner) {
  const aside = `${lock}.stale.${process.pid}`
  try {
    fs.renameSync(lock, aside)
  } catch (error) {
    if (error.code === 'ENOENT') return
    throw error
  }
  if (Number(readOr(aside, '')) !== owner) fs.linkSync(aside, lock)
  fs.rmSync(aside)
}

function isRunning(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code !== 'ESRCH'
  }
}

/** Whether each package of the lock file is installed in its version, by npm's own record of what it installed. */
function isInstalled() {
  const installed = JSON.parse(readOr(at('node_modules/.package-lock.json'), '{}')).packages ?? {}
  const wanted = JSON.parse(fs.readFileSync(at('package-lock.json'), 'utf8')).packages
  return Object.entries(wanted).every(([where, { version, optional, link }]) => {
    if (!where.includes('node_modules/')) return true
    const found = installed[where]
    return found ? link || found.version === version : optional // of another platform
  })
}

function install() {
  if (isInstalled()) return
  say('installing packages (npm ci)')
  const npm = process.env.npm_execpath
  const args = ['ci', '--include=dev', '--include=optional', '--loglevel=error']
  const { status, error } = npm
    ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
    : spawnSync('npm', args, {
        cwd: root,
        stdio: ['ignore', 'ignore', 'inherit'],
        shell: process.platform === 'win32',
      })
  if (status !== 0)
    fail(`npm ci failed${error ? `: ${error.message}` : ''}. Is the package registry reachable?`)
}

function runStep(step) {
  if (!fs.existsSync(at(step.script))) return
  const record = at('node_modules/.palomar-setup.json')
  const done = JSON.parse(readOr(record, '{}'))
  const inputs = hash(step.inputs)
  if (done[step.script] === inputs && fs.existsSync(at(step.output))) return
  say(`building the ${step.name}`)
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', at(step.script)], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) fail(`${step.script} failed; what it said is above.`)
  fs.writeFileSync(record, JSON.stringify({ ...done, [step.script]: inputs }))
}

function hash(inputs) {
  const sum = createHash('sha256').update(process.version)
  for (const file of inputs.flatMap((input) => filesOf(input)))
    sum.update(`\0${file}\0`).update(fs.readFileSync(at(file)))
  return sum.digest('hex')
}

function filesOf(input) {
  if (!fs.existsSync(at(input))) return []
  if (!fs.statSync(at(input)).isDirectory()) return [input]
  return fs
    .readdirSync(at(input))
    .filter(
      (name) => !['dist', 'node_modules', 'generated', 'test'].includes(name) && !name.endsWith('.test.ts'),
    )
    .sort()
    .flatMap((name) => filesOf(path.join(input, name)))
}

function readOr(file, otherwise) {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return otherwise
    throw error
  }
}

function say(line) {
  console.error(`setup: ${line}`)
}

/** What the user must mend; its message is all that he needs to see. */
class SetupError extends Error {}

function fail(line) {
  throw new SetupError(line)
}

try {
  checkNode()
  await withLock(() => {
    install()
    steps.forEach(runStep)
  })
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  say(error.message)
  process.exit(1)
}

const [file, ...args] = process.argv.slice(2)
if (file) {
  process.argv = [process.execPath, at(file), ...args]
  if (file.endsWith('.ts')) {
    const { register } = await import('tsx/esm/api')
    register()
    process.setSourceMapsEnabled(true)
  }
  await import(pathToFileURL(at(file)).href)
}
