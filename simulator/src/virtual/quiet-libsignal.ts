/**
 * libsignal reports on the global console, and prints whole session records, private ratchet keys included.
 * It takes no logger, so its sentences are filtered where they come out; everything else passes untouched.
 */
const SENTENCES = [
  'Closing session:',
  'Opening session:',
  'Removing old closed session:',
  'Session already closed',
  'Session already open',
  'Closing open session in favor of incoming prekey bundle',
  'Decrypted message with closed session.',
  'Failed to decrypt message with any known session',
  'Session error:',
]

let quiet = false

/** Keeps libsignal's own sentences off the console of this process. Calling it again does nothing. */
export function quietLibsignal(): void {
  if (quiet) return
  quiet = true
  for (const method of ['info', 'warn', 'error'] as const) {
    const print = console[method]
    console[method] = (...args: unknown[]) => {
      const [first] = args
      if (typeof first === 'string' && SENTENCES.some((sentence) => first.startsWith(sentence))) return
      print.apply(console, args)
    }
  }
}
