package nodelab_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/netlab"
	"github.com/skua-go/skua/internal/nodelab"
)

const (
	patience = 30 * time.Second
	role     = "SKUA_TEST_NODELAB" // makes the test binary a server that answers datagrams with what is in them
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(role); addr != "" {
		if err := echo(addr); err != nil {
			os.Stderr.WriteString(err.Error())
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func echo(addr string) error {
	s, err := net.ListenPacket("udp4", addr)
	if err != nil {
		return err
	}
	os.Stdout.WriteString("ready\n")
	buf := make([]byte, 2048)
	for {
		n, from, err := s.ReadFrom(buf)
		if err != nil {
			return err
		}
		if _, err := s.WriteTo(buf[:n], from); err != nil {
			return err
		}
	}
}

// lab is open until the test ends.
func lab(t *testing.T, names ...string) (*nodelab.Lab, []*nodelab.Host) {
	t.Helper()
	l := nodelab.Open(1)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range names {
		if _, err := l.Host(name); err != nil {
			t.Fatal(err)
		}
	}
	hosts := l.Hosts()
	return l, hosts
}

func port(h *nodelab.Host) string { return netip.AddrPortFrom(h.Addr(), 4000).String() }

// serve runs a server on a host until the test ends, and returns its process.
func serve(t *testing.T, h *nodelab.Host) *os.Process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), role+"="+port(h))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have been killed already
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	return cmd.Process
}

// client is a socket of a host.
func client(t *testing.T, from, to *nodelab.Host) net.Conn {
	t.Helper()
	var c net.Conn
	err := nodelab.Within(from, func() (err error) {
		c, err = net.Dial("udp4", port(to))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answered asks until there is an answer.
func answered(t *testing.T, c net.Conn) (took time.Duration) {
	t.Helper()
	begun := time.Now()
	for buf := make([]byte, 2048); time.Since(begun) < patience; {
		sent := time.Now()
		text := sent.String()
		if _, err := c.Write([]byte(text)); err != nil {
			continue // the host has just told that nobody listens
		}
		for c.SetReadDeadline(time.Now().Add(time.Second)) == nil {
			n, err := c.Read(buf)
			if err != nil {
				break
			}
			if bytes.Equal(buf[:n], []byte(text)) {
				return time.Since(sent)
			}
		}
	}
	t.Fatal("no answer")
	return 0
}

// mute wants no answer.
func mute(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("anybody")); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 2048); ; {
		n, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil || string(buf[:n]) == "anybody" {
			t.Fatalf("%q, %v, expected silence", buf[:n], err)
		}
	}
}

func TestHostsReachEachOtherUntilTheyAreCutOneWayOrBoth(t *testing.T) {
	if !nodelab.Isolated(t) {
		return
	}
	l, hosts := lab(t, "a", "b", "c")
	a, b, c := hosts[0], hosts[1], hosts[2]
	serve(t, b)
	serve(t, c)
	ab, ac := client(t, a, b), client(t, a, c)
	answered(t, ab)
	answered(t, ac)
	for _, cut := range []func() func(){
		func() func() { return l.Set(hosts[:1], hosts[1:2], nodelab.Way{Cut: true}) },
		func() func() { return l.Set(hosts[1:2], hosts[:1], nodelab.Way{Cut: true}) },
		func() func() { return l.Isolate(b) },
	} {
		mend := cut()
		mute(t, ab)
		answered(t, ac)
		mend()
		answered(t, ab)
	}
	if s := l.Stats(); s.Lost < 3 || s.Sent == 0 {
		t.Errorf("%+v", s)
	}
	const delay = 30 * time.Millisecond
	l.Set(hosts[:1], hosts[1:2], nodelab.Way{Link: netlab.Link{Delay: delay}})
	if took := answered(t, ab); took < delay {
		t.Errorf("an answer took %v, the way there %v", took, delay)
	}
}

func TestWhatIsCutTwiceIsCutUntilBothAreMended(t *testing.T) {
	if !nodelab.Isolated(t) {
		return
	}
	l, hosts := lab(t, "a", "b")
	a, b := hosts[0], hosts[1]
	serve(t, b)
	c := client(t, a, b)
	answered(t, c)
	off := l.Isolate(b)
	const delay = 30 * time.Millisecond
	slow := l.Between(hosts, hosts, nodelab.Way{Link: netlab.Link{Delay: delay}})
	mute(t, c) // that it is slow now does not mend it
	silent := l.Set(hosts[1:], hosts[:1], nodelab.Way{Cut: true})
	off()
	mute(t, c)
	silent()
	if took := answered(t, c); took < 2*delay {
		t.Errorf("an answer took %v, each way %v", took, delay)
	}
	slow()
	answered(t, c)
}

func TestAProcessIsStoppedKilledAndStartedAgainOnItsHost(t *testing.T) {
	if !nodelab.Isolated(t) {
		return
	}
	_, hosts := lab(t, "a", "b")
	p := serve(t, hosts[1])
	c := client(t, hosts[0], hosts[1])
	answered(t, c)
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	mute(t, c)
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	answered(t, c)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = p.Wait()
	serve(t, hosts[1])
	answered(t, c)
}

func TestNothingIsReachableBesideTheHosts(t *testing.T) {
	if !nodelab.Isolated(t) {
		return
	}
	_, hosts := lab(t, "a")
	err := nodelab.Within(hosts[0], func() error {
		_, err := net.Dial("udp4", "192.0.2.1:9")
		return err
	})
	if !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("got %v, expected that the network is not reachable", err)
	}
}

func TestADiskIsFullWhenItIs(t *testing.T) {
	if !nodelab.Isolated(t) {
		return
	}
	file := filepath.Join(nodelab.Disk(t, 1<<20), "file")
	if err := os.WriteFile(file, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, expected that there is no space", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, make([]byte, 1<<19), 0o600); err != nil {
		t.Error(err)
	}
}
