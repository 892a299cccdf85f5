import { readFile } from 'node:fs/promises'
import type { Plugin } from 'esbuild'
import { makeProtoLazy } from './lazy-proto.ts'

interface Patch {
  name: string
  file: RegExp
  apply: (source: string) => string
}

const patches: Patch[] = [
  { name: 'lazy protobuf classes', file: /WAProto[\\/]index\.js$/, apply: makeProtoLazy },
  {
    name: 'no telemetry tables',
    file: /baileys[\\/]lib[\\/]WAM[\\/]constants\.js$/,
    apply: (source) => {
      const flags = source.split('\n').find((line) => line.startsWith('export const FLAG_BYTE'))
      if (
        !flags ||
        !source.includes('export const WEB_EVENTS') ||
        !source.includes('export const WEB_GLOBALS')
      ) {
        throw new Error('The telemetry tables are not where they were')
      }
      return `export const WEB_EVENTS = [];\nexport const WEB_GLOBALS = [];\n${flags}\n`
    },
  },
]

const applied = new Set<string>()

/** throws when a patch met none of the files it is for */
export const patchesApplied = (): void => {
  const missing = patches.filter(({ name }) => !applied.has(name)).map(({ name }) => name)
  if (missing.length > 0) throw new Error(`Patches that found nothing to patch: ${missing.join(', ')}`)
}

export const leanBaileys = (): Plugin => ({
  name: 'lean-baileys',
  setup(build) {
    for (const { name, file, apply } of patches) {
      build.onLoad({ filter: file }, async ({ path }) => {
        const contents = apply(await readFile(path, 'utf8'))
        applied.add(name)
        return { contents, loader: 'js' }
      })
    }
  },
})
