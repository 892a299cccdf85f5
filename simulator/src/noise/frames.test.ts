import { expect, test } from 'vitest'
import { FrameReader, frame } from './frames.ts'

const INTRO = Buffer.from([0x57, 0x41, 6, 3])

test('frames are found however the bytes are cut', () => {
  const payloads = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(70_000, 7)]
  const whole = Buffer.concat([INTRO, ...payloads.map(frame)])
  for (const size of [1, 3, 1000, whole.length]) {
    const reader = new FrameReader()
    const found: Buffer[] = []
    for (let at = 0; at < whole.length; at += size) found.push(...reader.push(whole.subarray(at, at + size)))
    expect(found.length).toBe(3)
    expect(found.every((each, i) => payloads[i]?.equals(each))).toBe(true)
  }
})

test('routing information before the intro is skipped', () => {
  const routing = Buffer.from([0x45, 0x44, 0, 1, 0, 0, 2, 9, 9])
  const reader = new FrameReader()
  expect(reader.push(routing)).toEqual([])
  expect(reader.push(Buffer.concat([INTRO, frame(Buffer.from('x'))]))).toEqual([Buffer.from('x')])
})

test('another protocol is refused', () => {
  expect(() => new FrameReader().push(Buffer.from('GET / HTTP/1.1'))).toThrow('intro')
})
