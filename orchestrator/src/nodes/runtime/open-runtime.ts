/** Chooses the driver, and makes sure that what it runs is there. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { DockerRuntime } from './docker-runtime.ts'
import { detectEngine } from './engine.ts'
import { ensureImage } from './image.ts'
import { ProcessRuntime } from './process-runtime.ts'
import { type Runtime, RuntimeError } from './runtime.ts'

export interface OpenRuntimeOptions {
  /** auto: docker where an engine answers, else process */
  kind: 'auto' | 'docker' | 'process'
  installation: string
  dataDir: string
  /** also needs the simulator's bundle */
  simulator: boolean
  /** a ready image instead of the one built from this repository */
  sessionImage?: string | undefined
  maxStarts?: number
  onProgress?: (line: string) => void
  onError?: (error: unknown) => void
}

// The same relative place from src/nodes/runtime/ and, bundled, from dist/.
const root = repositoryRoot(path.dirname(fileURLToPath(import.meta.url)))

/** Throws a RuntimeError that says what to do. */
export async function openRuntime(options: OpenRuntimeOptions): Promise<Runtime> {
  const { kind, installation, dataDir, simulator, maxStarts, onError } = options
  const engine = kind !== 'process' && (await detectEngine())
  if (kind === 'docker' && !engine) {
    throw new RuntimeError(
      'engine_unavailable',
      'no container engine answers: start Docker, set DOCKER_HOST, or use PALOMAR_RUNTIME=process',
    )
  }
  if (!engine) {
    return new ProcessRuntime({
      dataDir,
      bundles: { production: bundle('production'), ...(simulator ? { simulator: bundle('simulator') } : {}) },
      ...(maxStarts ? { maxStarts } : {}),
      ...(onError ? { onError } : {}),
    })
  }
  return new DockerRuntime({
    installation,
    images: {
      production: options.sessionImage ?? (await image('production', options.onProgress)),
      ...(simulator
        ? { simulator: options.sessionImage ?? (await image('simulator', options.onProgress)) }
        : {}),
    },
    ...(maxStarts ? { maxStarts } : {}),
    ...(onError ? { onError } : {}),
  })
}

const bundle = (variant: 'production' | 'simulator') =>
  path.join(root, `session-node/dist/${variant}/node.mjs`)

async function image(
  variant: 'production' | 'simulator',
  onProgress?: (line: string) => void,
): Promise<string> {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }
  const tag = `palomar/session-node${variant === 'simulator' ? '-simulator' : ''}:${version}`
  await ensureImage({
    tag,
    bundle: bundle(variant),
    recipes: path.join(root, 'deploy/images'),
    ...(onProgress ? { onProgress } : {}),
  })
  return tag
}

function repositoryRoot(from: string): string {
  for (let folder = from; ; folder = path.dirname(folder)) {
    try {
      const { name } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
        name?: string
      }
      if (name === 'palomar') return folder
    } catch (error) {
      // Most folders on the way up have no package.json.
      if (folder === path.dirname(folder))
        throw new Error('the repository root is not above this file', { cause: error })
    }
  }
}
