import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { createSecrets, loadMasterSecret } from './secrets.ts'

const secrets = createSecrets(randomBytes(32))

test('what is sealed opens only in its own place and unaltered', () => {
  const sealed = secrets.encrypt('ratchet', 'key:s:session:1')
  expect(secrets.decrypt(sealed, 'key:s:session:1').toString()).toBe('ratchet')
  expect(() => secrets.decrypt(sealed, 'key:s:session:2')).toThrow()
  const altered = Buffer.from(sealed)
  altered.writeUInt8((altered.at(-1) ?? 0) ^ 1, altered.length - 1)
  expect(() => secrets.decrypt(altered, 'key:s:session:1')).toThrow()
  expect(() => createSecrets(randomBytes(32)).decrypt(sealed, 'key:s:session:1')).toThrow()
})

test('a node token names its node and fits one session only', () => {
  const token = secrets.nodeToken('session-1', 'node-1')
  expect(secrets.verifyNodeToken('session-1', token)).toBe('node-1')
  expect(secrets.verifyNodeToken('session-2', token)).toBeNull()
  expect(secrets.verifyNodeToken('session-1', token.replace('node-1', 'node-2'))).toBeNull()
  expect(secrets.verifyNodeToken('session-1', '')).toBeNull()
})

test('the master secret is made once, readable by its owner only, and the same the next time', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'palomar-secret-'))
  try {
    const first = loadMasterSecret(undefined, folder)
    expect(first).toHaveLength(32)
    expect(loadMasterSecret(undefined, folder).equals(first)).toBe(true)
    expect(statSync(path.join(folder, 'secret.key')).mode & 0o077).toBe(0)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
