/** How a session node is run, whatever runs it: flags and variables that keep an idle one small. */

/** V8's heap limit; below the container's memory limit, so that a leak ends with V8's own report where it can. */
export const maxOldSpaceMb = 160

export const nodeFlags = [
  '--max-semi-space-size=1',
  '--optimize-for-size',
  `--max-old-space-size=${maxOldSpaceMb}`,
]

export const nodeTuning = { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '1' }
