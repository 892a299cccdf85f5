/**
 * WAProto builds some 200 message classes, with all that is nested in them, when it is imported: 8 MB of heap, most of
 * it never used. Each `X.Y = (function() {…})()` becomes a getter that builds on first use.
 */
const OPENING = /^(\s*)([A-Za-z0-9_$]+)\.([A-Za-z0-9_$]+) = \(function\(\) \{\s*$/

const HELPER = `function __lazy(target, key, make) {
  const define = (value) => Object.defineProperty(target, key, { value, writable: true, configurable: true, enumerable: true });
  Object.defineProperty(target, key, { configurable: true, enumerable: true, get() { const value = make(); define(value); return value }, set: define });
}`

/** fewer than this, and the generated file is no longer what this was written for */
const MIN_CLASSES = 200

export const makeProtoLazy = (source: string): string => {
  const open: string[] = []
  let made = 0
  const lines = source.split('\n').map((line) => {
    const opening = OPENING.exec(line)
    if (opening) {
      const [, indent = '', target, key] = opening
      open.push(indent)
      made += 1
      return `${indent}__lazy(${target}, "${key}", function() {`
    }
    const indent = open.at(-1)
    if (indent !== undefined && line === `${indent}})();`) {
      open.pop()
      return `${indent}});`
    }
    return line
  })
  const start = lines.findIndex((line) => line.startsWith('const $Reader'))
  if (open.length > 0 || made < MIN_CLASSES || start < 0) {
    throw new Error(`WAProto has changed: ${made} classes found, ${open.length} left open`)
  }
  lines.splice(start, 0, HELPER)
  return lines.join('\n')
}
