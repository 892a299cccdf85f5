/**
 * `npm run generate`: writes the database client from prisma/schema.prisma.
 * Prisma looks for its schema engine, a binary that it would download and that generating never runs: any program
 * that exists will do in its place, and node is one.
 */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'

const manifest = createRequire(import.meta.url).resolve('prisma/package.json')
const prisma = path.join(path.dirname(manifest), 'build/index.js')
const { status, stdout, stderr } = spawnSync(process.execPath, [prisma, 'generate', '--no-hints'], {
  cwd: path.join(import.meta.dirname, '..'),
  env: {
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
    ...process.env,
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
  },
  encoding: 'utf8',
})
if (status !== 0) {
  console.error(stdout, stderr)
  process.exitCode = 1
}
