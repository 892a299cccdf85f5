/** Stanzas to bytes and back, and the few ways to read one. */
import { inflateSync } from 'node:zlib'
import { decodeDecompressedBinaryNode, encodeBinaryNode } from '@whiskeysockets/baileys'
import * as tokens from '@whiskeysockets/baileys/lib/WABinary/constants.js'
import type { Stanza } from '../types.ts'

const COMPRESSED = 2

export const encodeStanza = (stanza: Stanza): Buffer => encodeBinaryNode(stanza)

/** Synchronous, unlike the package's own, so that stanzas keep their order. Throws on malformed bytes. */
export function decodeStanza(bytes: Buffer): Stanza {
  const body = bytes.readUInt8(0) & COMPRESSED ? inflateSync(bytes.subarray(1)) : bytes.subarray(1)
  return decodeDecompressedBinaryNode(body, tokens)
}

/** Builds a stanza; attributes that are undefined are left out (the encoder would count, then drop them). */
export function stanza(
  tag: string,
  attrs: Record<string, string | undefined> = {},
  content?: Stanza['content'],
): Stanza {
  const kept: Record<string, string> = {}
  for (const name in attrs) {
    const value = attrs[name]
    if (value !== undefined) kept[name] = value
  }
  return content === undefined ? { tag, attrs: kept } : { tag, attrs: kept, content }
}

export const children = (node: Stanza | undefined): Stanza[] =>
  Array.isArray(node?.content) ? node.content : []

export const child = (node: Stanza | undefined, tag: string): Stanza | undefined =>
  children(node).find((each) => each.tag === tag)

/** Content as bytes, whichever way the codec gave it; undefined when there is none. */
export function bytes(node: Stanza | undefined): Buffer | undefined {
  const content = node?.content
  if (content === undefined || Array.isArray(content)) return undefined
  return typeof content === 'string' ? Buffer.from(content) : Buffer.from(content)
}

/** Content of a named child as bytes. */
export const childBytes = (node: Stanza | undefined, tag: string): Buffer | undefined =>
  bytes(child(node, tag))
