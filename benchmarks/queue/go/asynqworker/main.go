// asynq: a worker of no-op jobs, and their producer.
package main

import (
	"context"
	"encoding/json"
	"log"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"bench/ledger"
)

type payload struct {
	N       int `json:"n"`
	SleepMs int `json:"sleep_ms"`
}

func main() {
	options := ledger.ReadOptions()
	redis, err := asynq.ParseRedisURI(options.URL)
	if err != nil {
		log.Fatal(err)
	}
	if options.Publish {
		publish(redis, options)
		return
	}
	server := asynq.NewServer(redis, asynq.Config{
		Concurrency:    options.Slots,
		LogLevel:       asynq.WarnLevel,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Second },
	})
	marks := ledger.Open()
	work := func(_ context.Context, task *asynq.Task) error {
		var job payload
		if err := json.Unmarshal(task.Payload(), &job); err != nil {
			return err
		}
		marks.Run(job.N, job.SleepMs)
		return nil
	}
	if err := server.Run(asynq.HandlerFunc(work)); err != nil {
		log.Fatal(err)
	}
}

func publish(redis asynq.RedisConnOpt, options ledger.Options) {
	client := asynq.NewClient(redis)
	defer client.Close()
	ledger.Publish(options, 10, func(numbers []int) {
		var sending sync.WaitGroup
		for _, n := range numbers {
			sending.Go(func() {
				body, err := json.Marshal(options.Payload(n))
				if err != nil {
					log.Fatal(err)
				}
				if _, err := client.Enqueue(asynq.NewTask("noop", body), asynq.Timeout(30*time.Second)); err != nil {
					log.Fatal(err)
				}
			})
		}
		sending.Wait()
	})
}
