import { readFile } from 'node:fs/promises'
import type { Plugin } from 'esbuild'
import { makeProtoLazy } from './lazy-proto.ts'

interface Patch {
  name: string
  file: RegExp
  /** what the file must contain, or it is not the one that the patch was written for */
  expects: string[]
  apply: (source: string) => string
}

const STACK = 'const stack = new Error().stack;'
const CANCELLED = `reject(new Boom('Cancelled', {
            statusCode: 500,
            data: {
                stack
            }
        }));`

/** What a session pays for and never uses. */
const patches: Patch[] = [
  {
    name: 'protobuf classes made on first use',
    file: /WAProto[\\/]index\.js$/,
    expects: [],
    apply: makeProtoLazy,
  },
  {
    name: 'no telemetry tables (0.8 MB): only sendWAMBuffer would read them',
    file: /baileys[\\/]lib[\\/]WAM[\\/]constants\.js$/,
    expects: ['export const WEB_EVENTS', 'export const WEB_GLOBALS', 'export const FLAG_BYTE'],
    apply: (source) => {
      const flags = source.split('\n').find((line) => line.startsWith('export const FLAG_BYTE'))
      return `export const WEB_EVENTS = [];\nexport const WEB_GLOBALS = [];\n${flags}\n`
    },
  },
  {
    name: 'no pino: every socket gets our logger',
    file: /baileys[\\/]lib[\\/]Utils[\\/]logger\.js$/,
    expects: ["import P from 'pino'", 'export default P('],
    apply: () => `const quiet = () => undefined;
      const logger = { level: 'silent', child: () => logger, trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet };
      export default logger;`,
  },
  {
    name: 'time limits without stack traces: every frame has one, and each took two traces that nobody reads',
    file: /baileys[\\/]lib[\\/]Utils[\\/]generics\.js$/,
    expects: [STACK, CANCELLED],
    // Whoever waits has had his answer when a limit is cancelled: a promise that stays open is dropped with it.
    apply: (source) => source.replaceAll(STACK, 'const stack = undefined;').replace(CANCELLED, ''),
  },
  {
    name: 'bodies are UTF-8: no tables of other encodings (0.5 MB)',
    file: /iconv-lite[\\/]lib[\\/]index\.js$/,
    expects: ['module.exports.getDecoder', 'module.exports.encodingExists'],
    apply: () => `const { StringDecoder } = require('node:string_decoder');
      const exists = (name) => /^utf-?8$/i.test(name);
      module.exports = {
        encodingExists: exists,
        decode: (bytes) => bytes.toString('utf8'),
        getDecoder(name) {
          if (!exists(name)) throw new Error('Encoding not recognized: ' + name);
          return new StringDecoder('utf8');
        },
      };`,
  },
  {
    name: 'no table of all media types (0.15 MB)',
    file: /mime-db[\\/]index\.js$/,
    expects: ["require('./db.json')"],
    apply: () => `module.exports = {
        'application/json': { source: 'iana', charset: 'UTF-8', compressible: true, extensions: ['json'] },
        'text/html': { source: 'iana', compressible: true, extensions: ['html'] },
        'text/plain': { source: 'iana', compressible: true, extensions: ['txt'] },
      };`,
  },
  {
    name: 'error messages of zod in English only',
    file: /zod[\\/]v4[\\/]locales[\\/]index\.js$/,
    expects: ['as en }'],
    apply: () => `export { default as en } from './en.js';`,
  },
]

const applied = new Set<string>()

/** throws when a patch met none of the files it is for */
export const patchesApplied = (): void => {
  const missing = patches.filter(({ name }) => !applied.has(name)).map(({ name }) => name)
  if (missing.length > 0) throw new Error(`Patches that found nothing to patch: ${missing.join('; ')}`)
}

/** Takes out of the bundle what a session never uses; fails where a package is no longer what it was. */
export const leanBaileys = (): Plugin => ({
  name: 'lean-baileys',
  setup(build) {
    for (const { name, file, expects, apply } of patches) {
      build.onLoad({ filter: file }, async ({ path }) => {
        const source = await readFile(path, 'utf8')
        const absent = expects.filter((part) => !source.includes(part))
        if (absent.length > 0) throw new Error(`${name}: ${path} has no ${absent.join(', ')}`)
        applied.add(name)
        return { contents: apply(source), loader: 'js' }
      })
    }
  },
})
