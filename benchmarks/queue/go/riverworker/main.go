// river (Postgres): a worker of no-op jobs, and their producer.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"bench/ledger"
)

type args struct {
	N          int    `json:"n"`
	SleepMs    int    `json:"sleep_ms"`
	DocumentID string `json:"document_id"`
	Source     string `json:"source"`
	Note       string `json:"note"`
}

// Kind names the job type.
func (args) Kind() string { return "noop" }

type worker struct {
	river.WorkerDefaults[args]
	marks *ledger.Ledger
}

// Work marks the job.
func (w *worker) Work(_ context.Context, job *river.Job[args]) error {
	w.marks.Run(job.Args.N, job.Args.SleepMs)
	return nil
}

func main() {
	options := ledger.ReadOptions()
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, options.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	if options.Publish {
		publish(ctx, driver, options)
		return
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{marks: ledger.Open()})
	client, err := river.NewClient(driver, &river.Config{
		// As in river's own benchmark: the default cooldown of 100 ms caps the rate.
		FetchCooldown:        2 * time.Millisecond,
		FetchPollInterval:    time.Second,
		JobTimeout:           5 * time.Second,
		RescueStuckJobsAfter: 10 * time.Second,
		Logger:               slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: options.Slots}},
		Workers:              workers,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Start(ctx); err != nil {
		log.Fatal(err)
	}
	<-ledger.Interrupted()
	if err := client.Stop(ctx); err != nil {
		log.Fatal(err)
	}
}

func publish(ctx context.Context, driver *riverpgxv5.Driver, options ledger.Options) {
	migrator, err := rivermigrate.New[pgx.Tx](driver, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		log.Fatal(err)
	}
	client, err := river.NewClient(driver, &river.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ledger.Publish(options, 5_000, func(numbers []int) {
		jobs := make([]river.InsertManyParams, len(numbers))
		for i, n := range numbers {
			fields := options.Payload(n)
			jobs[i].Args = args{n, options.SleepMs, "doc-0000000001", "documents", fields["note"].(string)}
		}
		if _, err := client.InsertManyFast(ctx, jobs); err != nil {
			log.Fatal(err)
		}
	})
}
