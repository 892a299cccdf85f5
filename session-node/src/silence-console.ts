/**
 * libsignal prints whole session records, private ratchet keys included, to the console. Imported before anything
 * else; our own lines go to stdout through the logger.
 */
const silent = () => undefined

for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) console[method] = silent
