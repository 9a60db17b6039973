package main

import (
	"context"
	"encoding/json"
	"log"
	"strconv"

	"github.com/redis/go-redis/v9"

	"bench/ledger"
)

const batch = 500

// publish pushes jobs to a list, as this worker and the inbox of a worker-suite queue expect them.
func publish(client *redis.Client, options ledger.Options) {
	ctx := context.Background()
	ledger.Publish(options, batch, func(numbers []int) {
		messages := make([]any, len(numbers))
		for i, n := range numbers {
			job := Job{ID: strconv.Itoa(n), Type: "noop", Payload: options.Payload(n)}
			message, err := json.Marshal(job)
			if err != nil {
				log.Fatal(err)
			}
			messages[i] = message
		}
		if err := client.LPush(ctx, options.Queue, messages...).Err(); err != nil {
			log.Fatal(err)
		}
	})
}
