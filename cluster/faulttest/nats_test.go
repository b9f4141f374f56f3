//go:build linux

package faulttest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	clientPort = 4222
	routePort  = 6222
)

// child is a process in its role. It returns when it has nothing to do any more.
func child(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	p := &pipe{in: os.Stdin, out: os.Stdout}
	if r.Kind == "nats" {
		return natsServer(r, p)
	}
	return runNode(r, p)
}

// natsServer is one of a cluster of servers, until the test is gone or tells it to end.
func natsServer(r role, p *pipe) error {
	o := &server.Options{
		ServerName: r.Name, Host: r.Addr, Port: clientPort, NoSigs: true, JetStream: true, StoreDir: r.Dir,
		JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 64 << 20, PingInterval: 2 * time.Second,
		Cluster: server.ClusterOpts{Name: "lab", Host: r.Addr, Port: routePort},
	}
	for _, addr := range r.Routes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("%s:%d", addr, routePort)})
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return err
	}
	srv.SetLogger(natsLog{slog.New(slog.NewTextHandler(os.Stderr, nil))}, false, false)
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		return errors.New("the NATS server is not ready")
	}
	if err := p.say(line{Kind: saysReady}); err != nil {
		return err
	}
	filler := filepath.Join(r.Dir, "filler")
	err = p.serve(func(l line) {
		a := line{Kind: saysAnswer, ID: l.ID}
		switch l.Kind {
		case doFill:
			a.Text = fill(filler)
		case doFree:
			if err := os.Remove(filler); err != nil {
				a.Text = err.Error()
			}
		}
		_ = p.say(a) // nobody hears it if it fails
	})
	stopped := make(chan struct{})
	go func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(serverStopsIn): // as who runs servers would: one that has met a full disk may wait for itself for ever
		err = errors.Join(err, errors.New("the NATS server has not stopped, and is ended"))
	}
	return err
}

const serverStopsIn = 10 * time.Second

// natsLog is what a server logs.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) { l.log.Info(fmt.Sprintf(format, v...)) }
func (l natsLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l natsLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l natsLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l natsLog) Debugf(string, ...any)           {}
func (l natsLog) Tracef(string, ...any)           {}

// fill writes until the disk is full.
func fill(file string) string {
	f, err := os.Create(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	return ""
}
