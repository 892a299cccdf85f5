import { expect, test } from 'vitest'
import { apiKeyPrefix, generateApiKey, hashApiKey, isPlausibleApiKey } from './api-key.ts'

test('a generated key passes its own checksum, and any one changed character does not', () => {
  const key = generateApiKey()
  expect(key).toMatch(/^plm_[0-9A-Za-z]{49}$/)
  expect(isPlausibleApiKey(key)).toBe(true)
  for (let i = 4; i < key.length; i++) {
    const other = key[i] === 'a' ? 'b' : 'a'
    expect(isPlausibleApiKey(key.slice(0, i) + other + key.slice(i + 1))).toBe(false)
  }
  expect(isPlausibleApiKey(key.slice(0, -1))).toBe(false)
})

test('two keys differ in hash and the prefix tells little', () => {
  const [a, b] = [generateApiKey(), generateApiKey()]
  expect(hashApiKey(a).equals(hashApiKey(b))).toBe(false)
  expect(apiKeyPrefix(a)).toHaveLength(10)
})
