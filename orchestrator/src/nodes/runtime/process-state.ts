/**
 * What the process driver remembers of a node, as `<folder>/state.json`: enough to find the process again, to know it
 * from another with the same pid, and to say how it ended. Written by rename, so a reader never sees half of it.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { codeOf } from './error-code.ts'
import type { NodeSpec } from './runtime.ts'

const processState = z.object({
  name: z.string(),
  labels: z.record(z.string(), z.string()),
  pid: z.number().int(),
  /** see process-identity.ts */
  identity: z.string(),
  startedAt: z.string(),
  /** null until the node has told it */
  port: z.number().int().nullable(),
  ending: z
    .object({ exitCode: z.number().nullable(), signal: z.string().optional(), oomKilled: z.boolean() })
    .optional(),
})
export type ProcessState = z.infer<typeof processState>

/** Names become folders, so they must not be able to leave theirs. */
export const validName = (name: unknown): name is NodeSpec['name'] =>
  typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(name)

/** Synchronous: between spawning a process and noting its pid, nothing else may run. */
export function writeState(folder: string, state: ProcessState): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, 'state.json')
  writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/** undefined when there is none; throws when it cannot be read or makes no sense. */
export async function readState(folder: string): Promise<ProcessState | undefined> {
  try {
    return processState.parse(JSON.parse(await readFile(join(folder, 'state.json'), 'utf8')))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new Error(`${folder}/state.json cannot be read`, { cause: error })
  }
}
