/** Raw Baileys clients in a process of their own, seen from the benchmark. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { SimulatorAdmin } from '../../harness/simulator-process.ts'
import type { RawAnswer, RawCall, RawCalls } from './protocol.ts'

export interface RawProcess {
  readonly pid: number
  call<C extends RawCall>(call: C, args: RawCalls[C]['args']): Promise<RawCalls[C]['result']>
  stop(): Promise<void>
}

/** Starts one against the simulator at `waUrl`. Calls under way are rejected when it ends. */
export function startRawProcess(waUrl: string): RawProcess {
  const file = fileURLToPath(new URL('./child.ts', import.meta.url))
  const child = fork(file, [waUrl], { execArgv: ['--import', import.meta.resolve('tsx')] })
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  child.on('message', (answer: RawAnswer) => {
    const waiter = waiting.get(answer.n)
    waiting.delete(answer.n)
    if ('error' in answer) waiter?.reject(new Error(`raw Baileys: ${answer.error}`))
    else waiter?.resolve(answer.result)
  })
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`raw Baileys ended with ${signal ?? code}`))
  })
  let n = 0
  return {
    pid: child.pid ?? 0,
    call: (call, args) =>
      new Promise((resolve, reject) => {
        n++
        waiting.set(n, { resolve: resolve as (result: unknown) => void, reject })
        child.send({ n, call, args }, (error) => error && reject(error))
      }),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

/** Makes and pairs one client. `connectMs`: from the scan until it is open. */
export async function pairRaw(
  raw: RawProcess,
  admin: SimulatorAdmin,
  client: number,
): Promise<{ qrMs: number; connectMs: number }> {
  const { qr, qrMs } = await raw.call('qr', { client })
  const scanned = performance.timeOrigin + performance.now()
  await admin.scanQr({ qr, name: `raw ${client}` })
  const { at } = await raw.call('open', { client })
  return { qrMs, connectMs: at - scanned }
}
