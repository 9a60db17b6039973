// What the benchmark's Node programs share: the ledger they mark, and what a job carries.
// Slot n of 2 x count slots of 64 bits holds the reading of CLOCK_MONOTONIC, in nanoseconds, at
// which job n was started last; slot count + n, when it ended, if it is a job that sleeps.
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const { BENCH_COUNT, BENCH_BYTES, BENCH_SLEEP_MS, BENCH_EVERY_MS, BENCH_LEDGER } = process.env
const count = Number(BENCH_COUNT)
const sleepMs = Number(BENCH_SLEEP_MS)
const everyMs = Number(BENCH_EVERY_MS)
const note = 'x'.repeat(Math.max(0, Number(BENCH_BYTES) - 86))

export const payload = (n) =>
  ({ n, sleep_ms: sleepMs, document_id: 'doc-0000000001', source: 'documents', note })

export class Ledger {
  constructor() {
    this.file = fs.openSync(BENCH_LEDGER, 'r+')
    this.slots = new BigUint64Array(fs.fstatSync(this.file).size / 8)
    this.bytes = Buffer.from(this.slots.buffer)
    this.dirty = []
  }

  // Node cannot map files: the marks of one turn of the event loop are written together, each run
  // of neighbours at once.
  mark(slot) {
    this.slots[slot] = process.hrtime.bigint()
    if (this.dirty.push(slot) === 1) setImmediate(() => this.write())
  }

  write() {
    const dirty = this.dirty
    this.dirty = []
    for (let from = 0, to = 1; from < dirty.length; from = to++) {
      while (dirty[to] === dirty[to - 1] + 1) to++
      fs.writeSync(this.file, this.bytes, dirty[from] * 8, (to - from) * 8, dirty[from] * 8)
    }
  }

  async run({ n, sleep_ms: milliseconds }) {
    this.mark(n)
    if (milliseconds > 0) {
      await sleep(milliseconds)
      this.mark(this.slots.length / 2 + n)
    }
  }
}

// Yields the numbers of the jobs to publish next; with BENCH_EVERY_MS one at a time after that
// pause, marked as sent.
export async function * toPublish (batch) {
  if (everyMs > 0) {
    const sent = new Ledger()
    for (let n = 0; n < count; n++) {
      await sleep(everyMs)
      sent.mark(n)
      yield [n]
    }
    return
  }
  for (let from = 0; from < count; from += batch) {
    yield Array.from({ length: Math.min(batch, count - from) }, (_, i) => from + i)
  }
}
