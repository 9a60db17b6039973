// Package ledger marks when each job started, in a file that the benchmark reads meanwhile.
//
// Of 2 x count slots of 64 bits, slot n holds the reading of CLOCK_MONOTONIC, in nanoseconds, at
// which job n was started last; slot count + n, when it ended, if it is a job that sleeps.
package ledger

import (
	"log"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ledger is a file of one 64-bit slot a job, mapped into memory: a mark outlives a kill.
type Ledger struct{ slots []uint64 }

// Open maps the file that BENCH_LEDGER names.
func Open() *Ledger {
	path := os.Getenv("BENCH_LEDGER")
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		log.Fatalf("BENCH_LEDGER: %v", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		log.Fatalf("BENCH_LEDGER: %v", err)
	}
	size := int(info.Size())
	mapped, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		log.Fatalf("mapping %s: %v", path, err)
	}
	return &Ledger{unsafe.Slice((*uint64)(unsafe.Pointer(&mapped[0])), size/8)}
}

// Run does job n: it marks its start and, when it is to sleep, its end.
func (l *Ledger) Run(n, sleepMs int) {
	l.mark(n)
	if sleepMs > 0 {
		time.Sleep(time.Duration(sleepMs) * time.Millisecond)
		l.mark(len(l.slots)/2 + n)
	}
}

func (l *Ledger) mark(slot int) { atomic.StoreUint64(&l.slots[slot], uint64(now())) }

// now reads the clock that all processes of this machine share, in nanoseconds.
func now() int64 {
	var reading unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &reading); err != nil {
		log.Fatal(err)
	}
	return reading.Nano()
}

// Publish calls send for batches of job numbers; with EveryMs above 0 for one at a time, after
// that pause, marking when each was sent.
func Publish(o Options, batch int, send func(numbers []int)) {
	if o.EveryMs > 0 {
		sent := Open()
		for n := range o.Count {
			time.Sleep(time.Duration(o.EveryMs) * time.Millisecond)
			sent.mark(n)
			send([]int{n})
		}
		return
	}
	for from := 0; from < o.Count; from += batch {
		numbers := make([]int, 0, batch)
		for n := from; n < min(from+batch, o.Count); n++ {
			numbers = append(numbers, n)
		}
		send(numbers)
	}
}
