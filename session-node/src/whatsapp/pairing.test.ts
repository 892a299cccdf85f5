import { expect, it } from 'vitest'
import { Pairing } from './pairing.ts'

it('gives the first code a minute and later ones 20 s', () => {
  let now = 0
  const pairing = new Pairing(() => now)
  pairing.offer('one')
  now = 59_999
  expect(pairing.current?.text).toBe('one')
  now = 60_000
  expect(pairing.current).toBeUndefined()
  expect(pairing.offer('two').expires_at).toBe(new Date(80_000).toISOString())
  expect(pairing.endsAt).toEqual(new Date(160_000))
})

it('wakes those who wait, and fails them when it is over', async () => {
  const pairing = new Pairing()
  const waits = [pairing.wait(1_000), pairing.wait(1_000)]
  pairing.offer('code')
  expect((await Promise.all(waits)).map(({ text }) => text)).toEqual(['code', 'code'])
  pairing.restart()
  const late = pairing.wait(1_000)
  pairing.end()
  await expect(late).rejects.toMatchObject({ code: 'pairing_unavailable' })
  await expect(pairing.wait(0)).rejects.toMatchObject({ code: 'pairing_unavailable' })
})
