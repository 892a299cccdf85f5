/** A parent to kill: starts the embedded Postgres, says which process it is, and stays. `<dataDir> [stopOnExit]` */
import { startEmbeddedPostgres } from '../src/db/embedded-postgres.ts'

const [, , dataDir = '', stopOnExit] = process.argv
const postgres = await startEmbeddedPostgres({ dataDir, stopOnExit: stopOnExit !== undefined })
console.log(postgres.pid)
setInterval(() => undefined, 60_000)
