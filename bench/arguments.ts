/** The flags of a benchmark: `--runtime`, and sizes with their defaults. */
import { parseArgs } from 'node:util'
import type { RuntimeChoice } from '../harness/engine.ts'
import { detectEngine } from '../orchestrator/src/nodes/runtime/engine.ts'

/** Reads `--runtime` and the given sizes, every one a positive number. Throws on anything else. */
export function readSizes<T extends Record<string, number>>(
  defaults: T,
  args: string[] = process.argv.slice(2),
): { sizes: T; runtime: string | undefined } {
  const { values } = parseArgs({
    args,
    options: {
      runtime: { type: 'string' },
      ...Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' as const }])),
    },
  })
  const sizes = Object.entries(defaults).map(([name, otherwise]) => {
    const given = (values as Record<string, string | undefined>)[name]
    const value = given === undefined ? otherwise : Number(given)
    if (!(value > 0)) throw new Error(`--${name} is a number above 0, not ${given}`)
    return [name, value]
  })
  return { sizes: Object.fromEntries(sizes) as T, runtime: values.runtime }
}

/** The drivers to measure: the one that was asked for, else all that this machine has. */
export async function chosenRuntimes(asked: string | undefined): Promise<RuntimeChoice[]> {
  if (asked !== undefined && asked !== 'process' && asked !== 'docker')
    throw new Error(`--runtime is docker or process, not ${asked}`)
  const engine = asked !== 'process' && (await detectEngine())
  if (asked === 'docker' && !engine)
    throw new Error('no container engine answers: start Docker or use --runtime process')
  return asked ? [asked] : engine ? ['process', 'docker'] : ['process']
}
