/**
 * Images are made through the engine's API, so that nobody has to run a docker command: a Node image plus some files.
 * Where no Node image is at hand and none can be pulled, one is made of this machine's own Node.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type Docker from 'dockerode'
import { connectEngine, type EngineOptions, statusOf, unlessMissing } from './engine.ts'
import { RuntimeError } from './runtime.ts'

export interface ImageOptions extends EngineOptions {
  tag: string
  /** where base-image.sh and the Dockerfiles are: deploy/images of the repository */
  recipes: string
  /** must be present or pullable when given; without it, `defaultNodeImage` or one made of this machine's Node */
  nodeImage?: string
  onProgress?: (line: string) => void
}

export interface ImageContent {
  dockerfile: string
  /** files and folders, by their place in the build's context */
  files: Record<string, string>
  buildArgs?: Record<string, string>
}

export const defaultNodeImage = 'node:24-slim'
/** builds and pulls tell of their progress, so a longer silence is a failure */
const silenceMs = 120_000
const contentLabel = 'palomar.content'

/** The image of session nodes that run the bundle; see `ensureImageOf`. */
export async function ensureImage({ bundle, ...options }: ImageOptions & { bundle: string }) {
  return ensureImageOf(options, {
    dockerfile: 'session-node.Dockerfile',
    files: { 'node.mjs': bundle },
    buildArgs: { BUNDLE: 'node.mjs' },
  })
}

/** Builds the image unless it is there with the same content. Says whether it built. */
export async function ensureImageOf(
  options: ImageOptions,
  image: ImageContent,
): Promise<'present' | 'built'> {
  const { tag, recipes, nodeImage, onProgress = () => undefined } = options
  const docker = connectEngine({ timeoutMs: silenceMs, ...options })
  const context = await mkdtemp(join(tmpdir(), 'palomar-image-'))
  try {
    await cp(join(recipes, image.dockerfile), join(context, 'Dockerfile'))
    for (const [place, file] of Object.entries(image.files)) await copyBuilt(file, join(context, place))
    const content = await contentHash(context, nodeImage)
    const before = await unlessMissing(docker.getImage(tag).inspect())
    if (before?.Config.Labels?.[contentLabel] === content) return 'present'

    const base = await ensureBase(docker, recipes, nodeImage, onProgress)
    onProgress(`building ${tag} on ${base}`)
    const output = await docker.buildImage(
      { context, src: ['.'] },
      {
        t: tag,
        buildargs: { NODE_IMAGE: base, ...image.buildArgs },
        labels: { [contentLabel]: content },
        forcerm: true,
      },
    )
    await finished(docker, output, `building ${tag}`)
    if (before) await removeUnused(docker, before.Id)
    return 'built'
  } finally {
    await rm(context, { recursive: true })
  }
}

async function copyBuilt(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true }).catch((error: unknown) => {
    throw new RuntimeError('bundle_missing', `${from} is missing: run the build first`, { cause: error })
  })
}

/** Of every file in the folder, by its name and content. */
async function contentHash(folder: string, nodeImage: string | undefined): Promise<string> {
  const hash = createHash('sha256').update(nodeImage ?? '')
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  for (const file of files.sort()) {
    const content = createHash('sha256').update(await readFile(file))
    hash.update(`${relative(folder, file)}\0${content.digest('hex')}\0`)
  }
  return hash.digest('hex')
}

/** The name of a Node image that the engine has. */
async function ensureBase(
  docker: Docker,
  recipes: string,
  wanted: string | undefined,
  onProgress: (line: string) => void,
): Promise<string> {
  const image = wanted ?? defaultNodeImage
  if (await has(docker, image)) return image
  const own = await ownBaseName(recipes)
  if (!wanted && (await has(docker, own))) return own
  onProgress(`pulling ${image}`)
  const refusal = await pull(docker, image)
  if (!refusal) return image
  if (wanted) throw new RuntimeError('image_missing', `${image} cannot be pulled: ${refusal}`)
  onProgress(`${image} cannot be pulled; making ${own} of this machine's Node`)
  await importOwnBase(docker, recipes, own)
  return own
}

async function ownBaseName(recipes: string): Promise<string> {
  const script = await readFile(join(recipes, 'base-image.sh'))
  const version = createHash('sha256').update(script).digest('hex').slice(0, 8)
  return `palomar/node-base:${process.versions.node}-${process.arch}-${version}`
}

async function has(docker: Docker, image: string): Promise<boolean> {
  return (await unlessMissing(docker.getImage(image).inspect())) !== undefined
}

/** Says why not, if it cannot. */
async function pull(docker: Docker, image: string): Promise<string | undefined> {
  try {
    await finished(docker, await docker.pull(image), `pulling ${image}`)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error)
  }
}

async function importOwnBase(docker: Docker, recipes: string, name: string): Promise<void> {
  const child = spawn(join(recipes, 'base-image.sh'), [process.execPath], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  })
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk}`.slice(-2_000)
  })
  const closed = once(child, 'close') as Promise<[number | null]>
  const [repo, tag] = name.split(':')
  const output = await docker.importImage(child.stdout, { repo, tag })
  const [[code]] = await Promise.all([closed, finished(docker, output, `importing ${name}`)])
  if (code !== 0) {
    await removeUnused(docker, name)
    throw new RuntimeError('image_missing', `no Node image: it cannot be pulled, nor made here: ${complaint}`)
  }
}

/** Waits for the end of a build, pull or import; they tell of failures only in their output. */
async function finished(docker: Docker, output: NodeJS.ReadableStream, what: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(output, (error) =>
      error
        ? reject(new RuntimeError('image_missing', `${what}: ${error.message}`, { cause: error }))
        : resolve(),
    )
  })
}

/** An image that containers still use stays until they are gone. */
async function removeUnused(docker: Docker, image: string): Promise<void> {
  try {
    await unlessMissing(docker.getImage(image).remove())
  } catch (error) {
    if (statusOf(error) !== 409) throw error
  }
}
