/**
 * Makes the images of session nodes and of the orchestrator, out of what `npm run build` made; quick when nothing has
 * changed. NODE_IMAGE names the Node image to build on; without it, see `defaultNodeImage`.
 *
 *   npm run build && npx tsx scripts/build-images.ts
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { detectEngine } from '../orchestrator/src/nodes/runtime/engine.ts'
import { ensureImageOf, type ImageContent } from '../orchestrator/src/nodes/runtime/image.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const inRepository = (...paths: string[]) => Object.fromEntries(paths.map((path) => [path, join(root, path)]))

const sessionNode = (variant: 'production' | 'simulator'): ImageContent => ({
  dockerfile: 'session-node.Dockerfile',
  files: { 'node.mjs': join(root, `session-node/dist/${variant}/node.mjs`) },
  buildArgs: { BUNDLE: 'node.mjs' },
})

const images: Record<string, ImageContent> = {
  'palomar/session-node': sessionNode('production'),
  'palomar/session-node-simulator': sessionNode('simulator'),
  'palomar/orchestrator': {
    dockerfile: 'orchestrator.Dockerfile',
    files: inRepository(
      'package.json',
      'deploy/images',
      'prisma/migrations',
      'session-node/dist/production',
      'orchestrator/dist',
    ),
  },
}

if (!(await detectEngine())) throw new Error('no container engine answers: start Docker, or set DOCKER_HOST')
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
for (const [name, content] of Object.entries(images)) {
  const options = {
    tag: `${name}:${version}`,
    recipes: join(root, 'deploy/images'),
    nodeImage: process.env.NODE_IMAGE || undefined,
    onProgress: (line: string) => console.error(line),
  }
  console.log(`${options.tag}: ${await ensureImageOf(options, content)}`)
}
