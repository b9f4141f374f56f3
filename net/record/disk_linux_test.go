package record_test

import (
	"errors"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"github.com/skua-go/skua/net/flv/flvtest"
	"github.com/skua-go/skua/net/record"
)

// A limit of the system on a file's size fails a write in its middle, as a disk does that is full.
func TestADiskThatIsFullEndsARecordingWhoseFileCanBePlayed(t *testing.T) {
	source := clip(t, 6, noisy...)
	s := open(t, record.Config{})
	const limit = 200 << 10
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
	s.begin(record.Options{})
	flvtest.Feed(t, s.pub, source, false)
	f := s.next()
	if !f.Last || !errors.Is(f.Err, record.ErrDisk) || !errors.Is(f.Err, syscall.EFBIG) || f.Bytes == 0 || f.Bytes >= limit {
		t.Fatalf("%+v", f)
	}
	if n, err := strconv.Atoi(flvtest.Decoded(t, "v:0", f.Path)); err != nil || n < 20 {
		t.Errorf("%d pictures, %v", n, err)
	}
	if c := s.r.Counts(); c.Failed != 1 || c.Used != f.Bytes {
		t.Errorf("%+v", c)
	}
}
