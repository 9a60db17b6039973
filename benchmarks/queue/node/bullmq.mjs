// BullMQ: `node bullmq.mjs work` or `publish`.
import { Queue, Worker } from 'bullmq'
import { Ledger, payload, toPublish } from './ledger.mjs'

const { BENCH_URL, BENCH_QUEUE, BENCH_SLOTS } = process.env
const { hostname: host, port } = new URL(BENCH_URL)
const connection = { host, port: Number(port), maxRetriesPerRequest: null }
const RECOVERY_MS = 10_000

async function publish () {
  const queue = new Queue(BENCH_QUEUE, { connection })
  for await (const numbers of toPublish(1000)) {
    const opts = { removeOnComplete: true, attempts: 3 }
    await queue.addBulk(numbers.map((n) => ({ name: 'noop', data: payload(n), opts })))
  }
  await queue.close()
}

function work () {
  const ledger = new Ledger()
  const worker = new Worker(BENCH_QUEUE, (job) => ledger.run(job.data), {
    connection,
    concurrency: Number(BENCH_SLOTS),
    lockDuration: RECOVERY_MS,
    stalledInterval: RECOVERY_MS
  })
  worker.on('error', console.error)
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, async () => { await worker.close(); process.exit(0) })
  }
}

await (process.argv[2] === 'publish' ? publish() : work())
