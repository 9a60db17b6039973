package ledger

import (
	"flag"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// Options are what the benchmark tells every program, whatever its language, in its environment.
type Options struct {
	URL, Queue          string
	Slots, Count, Bytes int
	SleepMs, EveryMs    int
	Publish, Logs       bool
}

// ReadOptions reads the environment and the command line.
func ReadOptions() Options {
	var o Options
	flag.BoolVar(&o.Publish, "publish", false, "publish jobs and end")
	flag.BoolVar(&o.Logs, "logs", false, "write two log lines a job")
	flag.Parse()
	o.URL, o.Queue = os.Getenv("BENCH_URL"), os.Getenv("BENCH_QUEUE")
	o.Slots, o.Count, o.Bytes = number("BENCH_SLOTS"), number("BENCH_COUNT"), number("BENCH_BYTES")
	o.SleepMs, o.EveryMs = number("BENCH_SLEEP_MS"), number("BENCH_EVERY_MS")
	return o
}

func number(name string) int {
	value, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		log.Fatalf("%s: %v", name, err)
	}
	return value
}

// Payload returns what job n carries.
func (o Options) Payload(n int) map[string]any {
	return map[string]any{
		"n": n, "sleep_ms": o.SleepMs, "document_id": "doc-0000000001", "source": "documents",
		"note": strings.Repeat("x", max(0, o.Bytes-86)),
	}
}

// Interrupted is told once about SIGTERM or SIGINT.
func Interrupted() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	return signals
}
