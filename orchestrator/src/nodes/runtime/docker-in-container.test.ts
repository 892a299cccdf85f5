import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWithEngine, engineSocket, fixtureProgram, imageRecipes, runId } from './docker-fixture.ts'
import { logLines } from './docker-logs.ts'
import { DockerRuntime } from './docker-runtime.ts'
import { connectEngine, unlessMissing } from './engine.ts'
import { ensureImage } from './image.ts'

const docker = connectEngine({ timeoutMs: 60_000 })
const installation = `test-inside-${runId}`
const images = {
  session: `palomar/inside-session:${runId}`,
  orchestrator: `palomar/inside-orchestrator:${runId}`,
}

describeWithEngine('an orchestrator that is itself a container, on the network of the machine', () => {
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'palomar-inside-'))
    const bundle = join(folder, 'probe.mjs')
    await build({
      entryPoints: [fileURLToPath(new URL('./orchestrator-probe.ts', import.meta.url))],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      external: ['*.node', 'cpu-features'],
      banner: {
        js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url); const __dirname = '/app';`,
      },
      logLevel: 'silent',
    })
    await ensureImage({ tag: images.orchestrator, bundle, recipes: imageRecipes })
    await ensureImage({ tag: images.session, bundle: fixtureProgram, recipes: imageRecipes })
    await rm(folder, { recursive: true })
  }, 180_000)

  afterAll(async () => {
    const leftovers = new DockerRuntime({ installation, images: { production: images.session } })
    await leftovers.dispose()
    await leftovers.close()
    for (const image of Object.values(images))
      await unlessMissing(docker.getImage(image).remove({ force: true }))
  })

  test('starts nodes, reaches them and is reached by them, without a capability', async () => {
    const container = await docker.createContainer({
      Image: images.orchestrator,
      Cmd: ['node', '/app/node.mjs', installation, images.session],
      User: '0:0',
      HostConfig: {
        NetworkMode: 'host',
        Binds: [`${engineSocket}:/var/run/docker.sock`],
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges:true'],
        ReadonlyRootfs: true,
      },
    })
    try {
      await container.start()
      await container.wait()
      const output: string[] = []
      const log = await container.logs({ stdout: true, stderr: true, timestamps: true, follow: false })
      for await (const line of logLines([log])) output.push(line.text)
      expect(JSON.parse(output.join('\n'))).toMatchObject({
        address: expect.stringMatching(/^http:\/\/(?!127\.)[\d.]+:3000$/),
        health: { ok: true, uid: 10001 },
        callback: { ok: true },
        usage: { privateBytes: expect.any(Number), cpuSeconds: expect.any(Number) },
      })
    } finally {
      await container.remove({ force: true, v: true })
    }
  })
})
