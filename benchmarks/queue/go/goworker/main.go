// A worker as many Go services have it: a loop of BRPOP feeds a buffered channel, N goroutines
// work it off. Whatever is in the channel or running when it is killed is lost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"bench/ledger"
)

// Job is what a producer pushes.
type Job struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`
	Payload map[string]any `json:"payload"`
}

var (
	processed = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "worker_jobs_processed_total", Help: "Executions.",
	}, []string{"job_type", "status"})
	duration = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "worker_job_duration_seconds", Help: "Time of an execution.", Buckets: prometheus.DefBuckets,
	}, []string{"job_type"})
)

// Processor handles one job type.
type Processor func(ctx context.Context, job *Job) error

// Pool runs the processors.
type Pool struct {
	client     *redis.Client
	queue      string
	jobs       chan *Job
	processors map[string]Processor
	log        zerolog.Logger
	workers    sync.WaitGroup
}

func main() {
	options := ledger.ReadOptions()
	address, err := redis.ParseURL(options.URL)
	if err != nil {
		fmt.Fprintln(os.Stderr, "BENCH_URL:", err)
		os.Exit(2)
	}
	client := redis.NewClient(address)
	if options.Publish {
		publish(client, options)
		return
	}
	level := zerolog.Disabled
	if options.Logs {
		level = zerolog.InfoLevel
	}
	pool := &Pool{
		client: client, queue: options.Queue, jobs: make(chan *Job, 2*options.Slots),
		processors: map[string]Processor{"noop": noop(ledger.Open())},
		log:        zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger(),
	}
	pool.run(options.Slots)
}

func noop(marks *ledger.Ledger) Processor {
	return func(_ context.Context, job *Job) error {
		marks.Run(int(job.Payload["n"].(float64)), int(job.Payload["sleep_ms"].(float64)))
		return nil
	}
}

func (p *Pool) run(workers int) {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		<-ledger.Interrupted()
		stop()
	}()
	for id := range workers {
		p.workers.Add(1)
		go p.work(id)
	}
	p.fetch(ctx)
	close(p.jobs)
	p.workers.Wait()
}

func (p *Pool) fetch(ctx context.Context) {
	for ctx.Err() == nil {
		found, err := p.client.BRPop(ctx, 5*time.Second, p.queue).Result()
		if errors.Is(err, redis.Nil) || errors.Is(err, context.Canceled) {
			continue
		}
		if err != nil {
			p.log.Error().Err(err).Msg("cannot fetch")
			time.Sleep(time.Second)
			continue
		}
		var job Job
		if err := json.Unmarshal([]byte(found[1]), &job); err != nil {
			p.log.Error().Err(err).Msg("cannot read a job")
			continue
		}
		p.jobs <- &job
	}
}

func (p *Pool) work(id int) {
	defer p.workers.Done()
	for job := range p.jobs {
		p.process(id, job)
	}
}

func (p *Pool) process(id int, job *Job) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	started := time.Now()
	p.log.Info().Int("worker_id", id).Str("job_id", job.ID).Str("job_type", job.Type).Msg("job started")
	status := "success"
	if err := p.processOne(ctx, job); err != nil {
		status = "failure"
		p.log.Error().Err(err).Str("job_id", job.ID).Msg("job failed")
	}
	took := time.Since(started)
	processed.WithLabelValues(job.Type, status).Inc()
	duration.WithLabelValues(job.Type).Observe(took.Seconds())
	p.log.Info().Int("worker_id", id).Str("job_id", job.ID).Dur("duration", took).Msg("job finished")
}

func (p *Pool) processOne(ctx context.Context, job *Job) error {
	process, known := p.processors[job.Type]
	if !known {
		return fmt.Errorf("no processor for %q", job.Type)
	}
	return process(ctx, job)
}
