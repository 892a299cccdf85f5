import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import type { Database } from '../db/database.ts'
import { postgresJson, postgresText } from './postgres-json.ts'

let database: Database

beforeAll(async () => {
  database = await createTestDatabase()
})

test('Postgres takes any JSON and any text, and gives ordinary ones back as they were', async () => {
  const anyString = fc.string({
    unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)),
    maxLength: 12,
  })
  await fc.assert(
    fc.asyncProperty(fc.dictionary(anyString, fc.oneof(anyString, fc.array(anyString))), async (value) => {
      const text = Object.keys(value)[0] ?? ''
      const { rows } = await database.pool.query('select $1::jsonb as json, $2::text as text', [
        postgresJson(value),
        postgresText(text),
      ])
      if (JSON.stringify(value).match(/\\u0000|\\ud/) === null) {
        expect(rows[0]).toEqual({ json: value, text })
      }
    }),
    { numRuns: 300 },
  )
})

test('what Postgres cannot hold becomes the replacement character, in keys and nested values too', () => {
  expect(JSON.parse(postgresJson({ 'a\0': ['x\ud800y', { b: '\0' }] }))).toEqual({
    'a\ufffd': ['x\ufffdy', { b: '\ufffd' }],
  })
})

test('a text that talks about escapes is left alone', () => {
  expect(JSON.parse(postgresJson('write \\u0000 or \\ud800'))).toBe('write \\u0000 or \\ud800')
})
