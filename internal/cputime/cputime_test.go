package cputime_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/cputime"
)

func TestOnlyWorkIsCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the system does not tell what a thread has worked")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun, before := time.Now(), cputime.Thread()
	wait := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() { close(wait) })
	<-wait
	if idle := cputime.Thread() - before; idle > time.Since(begun)/2 {
		t.Errorf("%v of work in %v of waiting", idle, time.Since(begun))
	}
	for before = cputime.Thread(); cputime.Thread()-before < 10*time.Millisecond; {
	}
}
