import type { TestProject } from 'vitest/node'
import { makeTemplate } from './database.ts'
import { temporaryPostgres } from './temporary-postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string
    templateDatabase: string
  }
}

/** One Postgres for the whole run, with one migrated database in it that each test file copies. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await temporaryPostgres()
  try {
    const template = await makeTemplate(postgres.url)
    project.provide('postgresUrl', postgres.url)
    project.provide('templateDatabase', template.name)
    return async () => {
      await template.drop()
      await postgres.stop()
    }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}
