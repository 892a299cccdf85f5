/** A worker to kill: begins a job, says which, and never ends it. `<database url> <queue> <leaseMs>` */
import { openDatabase } from '../src/db/database.ts'
import { LaneWorker } from '../src/lanes/lane-worker.ts'

const [, , url = '', queue = '', leaseMs] = process.argv
const { pool } = await openDatabase(url)
new LaneWorker({
  pool,
  queue,
  leaseMs: Number(leaseMs),
  onError: (error) => console.error(error),
  handler: async (job) => {
    console.log(job.kind)
    return new Promise(() => undefined)
  },
}).start()
