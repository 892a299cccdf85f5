/**
 * Builds the node: one file each for production (talks to WhatsApp only) and for the simulator. Baileys' heaviest
 * parts are made lazy or left out here; each patch checks that it still fits the pinned version.
 */
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'
import { leanBaileys, patchesApplied } from './build/lean-baileys.ts'

const root = fileURLToPath(new URL('.', import.meta.url))

const options = (simulator: boolean, outfile: string): BuildOptions => ({
  absWorkingDir: root,
  entryPoints: ['src/main.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  define: { SIMULATOR_BUILD: String(simulator), 'process.env.NODE_ENV': '"production"' },
  // CommonJS dependencies ask for Node's own modules by `require`
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
  // never loaded by what a session does: thumbnails, wave forms and link previews come from elsewhere
  external: [
    'sharp',
    'jimp',
    'audio-decode',
    'link-preview-js',
    'music-metadata',
    'bufferutil',
    'utf-8-validate',
  ],
  plugins: [leanBaileys()],
})

/** builds one kind, to where it belongs unless told otherwise, and returns the file's path */
export const buildNode = async (kind: 'production' | 'simulator', outfile?: string): Promise<string> => {
  const target = outfile ?? `${root}dist/${kind}/node.mjs`
  await build(options(kind === 'simulator', target))
  patchesApplied()
  return target
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const kind of ['production', 'simulator'] as const) await buildNode(kind)
}
