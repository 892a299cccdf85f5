import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { makeProtoLazy } from './build/lazy-proto.ts'
import { buildNode } from './build.ts'

it('the production bundle does not even contain the names of what leads to a simulator', {
  timeout: 60_000,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'palomar-build-'))
  const [production, simulator] = await Promise.all(
    (['production', 'simulator'] as const).map(async (kind) =>
      readFile(await buildNode(kind, join(directory, `${kind}.mjs`)), 'utf8'),
    ),
  )
  expect(production).not.toMatch(/PALOMAR_SIMULATOR/)
  expect(simulator).toMatch(/PALOMAR_SIMULATOR_URL/)
  expect(production).toMatch(/web\.whatsapp\.com/)
})

it('a protobuf file that no longer has the known shape is refused', () => {
  expect(() => makeProtoLazy('const $Reader = 1\nexport const proto = {}')).toThrow(/WAProto has changed/)
})
