/** WhatsApp's seconds as a time that Postgres and ISO 8601 can hold: at most the last second of the year 9999. */
export function waTime(seconds: number): Date {
  return new Date(Math.min(seconds, 253_402_300_799) * 1000)
}
