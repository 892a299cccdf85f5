import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { describeWithEngine, fixtureProgram, imageRecipes, runId } from './docker-fixture.ts'
import { connectEngine, unlessMissing } from './engine.ts'
import { ensureImage } from './image.ts'
import { nodeFlags, nodeTuning } from './node-flags.ts'

const docker = connectEngine()
const tag = `palomar/image-test:${runId}`

describeWithEngine('the image of session nodes', () => {
  let folder: string
  let bundle: string
  const ensure = (nodeImage?: string) => ensureImage({ tag, bundle, recipes: imageRecipes, nodeImage })

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'palomar-bundle-'))
    bundle = join(folder, 'node.mjs')
    await writeFile(bundle, await readFile(fixtureProgram))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
    await unlessMissing(docker.getImage(tag).remove({ force: true }))
  })

  test('is built once, and again when the bundle changes, with nothing left of the one before', async () => {
    expect(await ensure()).toBe('built')
    const before = await docker.getImage(tag).inspect()
    expect(await ensure()).toBe('present')
    await writeFile(bundle, 'process.exit(0)')
    expect(await ensure()).toBe('built')
    expect((await docker.getImage(tag).inspect()).Id).not.toBe(before.Id)
    expect(await unlessMissing(docker.getImage(before.Id).inspect())).toBeUndefined()
  })

  test('runs as nobody, with the flags and variables of the process driver', async () => {
    await ensure()
    const { Config } = await docker.getImage(tag).inspect()
    expect(Config.User).toBe('10001:10001')
    expect(Config.Cmd).toEqual(['node', ...nodeFlags, '/app/node.mjs'])
    expect(Config.Entrypoint ?? []).toEqual([])
    for (const [name, value] of Object.entries(nodeTuning)) expect(Config.Env).toContain(`${name}=${value}`)
  })

  test('a Node image that was asked for and cannot be had is an error, not replaced by another', async () => {
    await expect(ensure('localhost:1/no/such:image')).rejects.toMatchObject({ code: 'image_missing' })
  })

  test('a missing bundle is told with what to do', async () => {
    bundle = join(folder, 'missing.mjs')
    await expect(ensure()).rejects.toMatchObject({
      code: 'bundle_missing',
      message: expect.stringContaining('build'),
    })
  })
})
