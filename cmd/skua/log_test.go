package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/internal/logtest"
)

func logged(t *testing.T, cfg LogConfig) (*nodeLog, *logtest.Buffer) {
	t.Helper()
	if cfg.Level == "" {
		cfg.Level = "info"
	}
	text := &logtest.Buffer{}
	l, err := newLog(text, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l, text
}

func TestLevelsAreOfComponents(t *testing.T) {
	l, text := logged(t, LogConfig{Level: "warn", Levels: map[string]string{"mesh": "debug", "lua": "info", "lua:noisy": "error", "store": "debug"}})
	for _, of := range []struct {
		log  *slog.Logger
		name string
	}{
		{l.Logger, "node"},
		{l.With("part", "mesh"), "mesh"},
		{l.With("part", "lease"), "lease"},
		{l.With("service", "shop:0000002a"), "shop"},
		{l.With("service", "noisy:0000002a"), "noisy"},
		{l.With("actor", "store"), "store"},
		{l.With("actor", "n/2a").With("kind", "gate.session"), "session"},
		{l.With("part", "mesh").WithGroup("more").With("part", "lease"), "grouped"},
	} {
		of.log.Debug(of.name + " debug")
		of.log.Info(of.name + " info")
		of.log.Warn(of.name + " warn")
	}
	for line, want := range map[string]bool{
		"node info": false, "node warn": true, "mesh debug": true, "lease info": false, "shop info": true, "shop debug": false, "noisy warn": false,
		"store debug": true, "session info": false, "session warn": true, "grouped debug": true,
	} {
		if got := strings.Contains(text.String(), line); got != want {
			t.Errorf("%q is there: %v", line, got)
		}
	}
}

func TestALevelHoldsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, text := logged(t, LogConfig{Levels: map[string]string{"mesh": "error"}})
		mesh, gate := l.With("part", "mesh"), l.With("actor", "x/1", "kind", "gate.session")
		set := func(component string, level slog.Level, within time.Duration) {
			t.Helper()
			if err := l.levels.set(component, level, within); err != nil {
				t.Fatal(err)
			}
		}
		seen := func(log *slog.Logger, want bool) {
			t.Helper()
			was := len(text.String())
			log.Debug("look")
			if got := len(text.String()) > was; got != want {
				t.Errorf("written: %v, expected %v", got, want)
			}
		}
		set("gate", slog.LevelDebug, time.Minute)
		set("mesh", slog.LevelDebug, 2*time.Minute)
		seen(gate, true)
		seen(mesh, true)
		seen(l.Logger, false)
		set("gate", slog.LevelDebug, 90*time.Second) // anew
		time.Sleep(61 * time.Second)                 //nolint:forbidigo // fake time
		seen(gate, true)
		time.Sleep(30 * time.Second) //nolint:forbidigo // fake time
		seen(gate, false)
		seen(mesh, true)
		time.Sleep(30 * time.Second) //nolint:forbidigo // fake time
		seen(mesh, false)
		if levels, until := l.levels.list(); levels["mesh"] != slog.LevelError || len(levels) != 2 || len(until) != 0 {
			t.Errorf("%v until %v", levels, until)
		}
		set("", slog.LevelDebug, 0)
		seen(l.Logger, true)
		l.levels.reset("")
		seen(l.Logger, false)
	})
}

func TestLevelsAreBounded(t *testing.T) {
	l, _ := logged(t, LogConfig{})
	var err error
	for i := range 1000 {
		err = errors.Join(err, l.levels.set(fmt.Sprint("c", i), slog.LevelDebug, time.Hour))
	}
	if levels, _ := l.levels.list(); len(levels) != maxLogLevels+1 || err == nil {
		t.Errorf("%d levels, %v", len(levels), err)
	}
	if _, err := newLog(&logtest.Buffer{}, LogConfig{Level: "info", Levels: map[string]string{"gate": "loud"}}); err == nil || !strings.Contains(err.Error(), `log.levels.gate: found "loud"`) {
		t.Error(err)
	}
}

// burn logs from one place, wherever it is called.
//
//go:noinline
func burn(log *slog.Logger, n int) {
	for i := range n {
		log.Error("it burns", "n", i)
		log.Info("it is warm")
	}
}

func TestAStormOfErrorsIsFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, text := logged(t, LogConfig{})
		part := l.With("part", "store")
		count := func() (lines, again int) {
			for line := range strings.Lines(text.String()) {
				if strings.Contains(line, "it burns") {
					lines++
					if i := strings.Index(line, "again="); i >= 0 {
						n := 0
						if _, err := fmt.Sscanf(line[i:], "again=%d", &n); err != nil {
							t.Error(err)
						}
						again += n
					}
				}
			}
			return lines, again
		}
		fire := func(n int) { burn(part, n) }
		fire(5000)
		if lines, again := count(); lines != stormFirst || again != 0 {
			t.Errorf("at first %d lines, %d", lines, again)
		}
		part.Error("something else")
		if !strings.Contains(text.String(), "something else") || strings.Count(text.String(), "it is warm") != 5000 {
			t.Error("other lines are held back, too")
		}
		time.Sleep(stormEvery + time.Second) //nolint:forbidigo // fake time
		if lines, again := count(); lines != stormFirst+1 || again != 5000-stormFirst {
			t.Errorf("then %d lines, %d more", lines, again)
		}
		if !strings.Contains(text.String(), "n=4999 again=4990") || !strings.Contains(text.String(), "part=store") {
			t.Error("the number is not with the last line")
		}
		fire(3)
		if lines, _ := count(); lines != stormFirst+1 {
			t.Errorf("%d lines while the storm goes on", lines)
		}
		time.Sleep(4 * stormEvery) //nolint:forbidigo // fake time
		if lines, again := count(); lines != stormFirst+2 || again != 5000-stormFirst+3 {
			t.Errorf("in the end %d lines, %d more", lines, again)
		}
		l.storms.mu.Lock()
		n, waits := len(l.storms.storms), l.storms.timer != nil
		l.storms.mu.Unlock()
		if n != 0 || waits {
			t.Errorf("%d storms are remembered", n)
		}
		fire(1)
		if lines, _ := count(); lines != stormFirst+3 {
			t.Errorf("%d lines when it is over", lines)
		}
	})
}

// A script that fails all the time must not hide the first errors of others, which a developer looks for.
func TestAStormOfOneLineOfAScriptLeavesOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, text := logged(t, LogConfig{})
		for i := range 100 {
			l.Error("handler failed", "error", "shop.lua:12: no price of thing "+strconv.Itoa(i), "traceback", "...")
		}
		for i := range 2 * stormFirst {
			l.Error("handler failed", "error", fmt.Sprintf("room.lua:%d: attempt to index a nil value", i+1))
		}
		if n := strings.Count(text.String(), "shop.lua:12"); n != stormFirst {
			t.Errorf("%d lines of the storm", n)
		}
		if n := strings.Count(text.String(), "room.lua:"); n != 2*stormFirst {
			t.Errorf("%d of %d lines of others", n, 2*stormFirst)
		}
		l.storms.close()
	})
}

func TestStormsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, text := logged(t, LogConfig{})
		for i := range 10 * maxStorms {
			l.Error(fmt.Sprintf("player %d failed", i))
		}
		if n := len(l.storms.storms); n > maxStorms+1 {
			t.Errorf("%d texts are remembered", n)
		}
		if n := strings.Count(text.String(), "failed"); n > maxStorms+stormFirst {
			t.Errorf("%d lines", n)
		}
		l.storms.close()
		if want := fmt.Sprintf("again=%d", 9*maxStorms-stormFirst); !strings.Contains(text.String(), want) {
			t.Errorf("the end does not say %s", want)
		}
		l.Error("after the end")
		if !strings.Contains(text.String(), "after the end") {
			t.Error("the last words are lost")
		}
	})
}
