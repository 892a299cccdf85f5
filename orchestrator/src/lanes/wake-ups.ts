import type { Pool, PoolClient } from 'pg'

/** Hears other processes' `notifyWorkers` on a connection of its own. */
export class WakeUps {
  private readonly pool: Pool
  private readonly onWake: (queue: string) => void
  private client: PoolClient | undefined

  constructor(pool: Pool, onWake: (queue: string) => void) {
    this.pool = pool
    this.onWake = onWake
  }

  /** Listens, unless it does already. Call it now and then: a connection that died is replaced by the next call. */
  async listen(): Promise<void> {
    if (this.client) return
    const client = await this.pool.connect()
    this.client = client
    client.on('notification', ({ payload }) => this.onWake(payload ?? ''))
    client.on('error', () => this.drop(client))
    try {
      await client.query('listen palomar_lanes')
    } catch (error) {
      this.drop(client)
      throw error
    }
  }

  stop(): void {
    if (this.client) this.drop(this.client)
  }

  private drop(client: PoolClient): void {
    if (this.client !== client) return
    this.client = undefined
    client.release(true)
  }
}
