// Pushes jobs to a list with ioredis, as an application would.
import Redis from 'ioredis'
import { payload, toPublish } from './ledger.mjs'

const redis = new Redis(process.env.BENCH_URL)
for await (const numbers of toPublish(100)) {
  const jobs = numbers.map((n) => JSON.stringify({ id: String(n), type: 'noop', payload: payload(n) }))
  await redis.lpush(process.env.BENCH_QUEUE, ...jobs)
}
await redis.quit()
