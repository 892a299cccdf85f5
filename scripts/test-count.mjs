// Prints what a vitest JSON report counts, as one plain line; under CI a skipped test is a failure.
import { readFileSync } from 'node:fs'

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const skipped = report.numPendingTests + report.numTodoTests
if (skipped > 0) {
  for (const file of report.testResults) {
    for (const test of file.assertionResults) {
      if (test.status !== 'passed' && test.status !== 'failed') console.log(`skipped: ${test.fullName}`)
    }
  }
}
console.log(`${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped} skipped`)
const noSkips = process.env.CI === 'true' && skipped > 0
process.exit(report.success && report.numPassedTests > 0 && !noSkips ? 0 : 1)
