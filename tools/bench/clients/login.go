package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"

	"github.com/skua-go/skua/tools/bench/measure"
)

// serveLogin is ready with its address and the path of a file with a token of each player, one a line.
func serveLogin(ctx context.Context, args []string, ready func(string), transport string) (err error) {
	if len(args) != 1 {
		return fmt.Errorf("clients: found arguments %q, expected the number of players", args)
	}
	players, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("clients: the number of players: %w", err)
	}
	dir, err := os.MkdirTemp("", "skua-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	n := newNode()
	if _, err := n.sys.Spawn(store.Spec(store.Config{Backend: db})); err != nil {
		return err
	}
	service, err := n.sys.Spawn(login.Spec(login.Config{TokenKeys: [][]byte{bytes.Repeat([]byte("k"), login.MinKey)}}))
	if err != nil {
		return err
	}
	var tokens strings.Builder
	for i := range players {
		v, err := n.sys.Ask(ctx, service, login.Issue{UID: fmt.Sprint("player", i)})
		if err != nil {
			return err
		}
		a, ok := v.(login.Account)
		if !ok {
			return fmt.Errorf("clients: found a %T, expected a token", v)
		}
		fmt.Fprintln(&tokens, a.Token)
	}
	path := filepath.Join(dir, "tokens")
	if err := os.WriteFile(path, []byte(tokens.String()), 0o600); err != nil {
		return err
	}
	if err := n.open(gate.Config{Handle: echoRequest}); err != nil {
		return err
	}
	return n.serve(ctx, ready, []string{transport}, path)
}

// Logins is logins a second: a new connection over "tcp" or "kcp", the handshakes, and a login by token, each of another player; 64 at a time, and all stay. There
// are count of them, and a sixth as many before, to warm up.
func Logins(transport string, count int) measure.Func {
	how := transport
	if how == "kcp" {
		how = leanKCP
	}
	return func(ctx context.Context) (float64, error) {
		p, err := measure.StartServer(ctx, "login-"+transport, strconv.Itoa(count/6+count))
		if err != nil {
			return 0, err
		}
		perSecond, err := loginAll(ctx, p.Addr, how, count)
		return perSecond, errors.Join(err, p.Stop())
	}
}

func loginAll(ctx context.Context, ready, transport string, count int) (perSecond float64, err error) {
	addr, path, _ := strings.Cut(ready, " ")
	text, err := os.ReadFile(path) //nolint:gosec // what our own server has written
	if err != nil {
		return 0, err
	}
	tokens := strings.Fields(string(text))
	warm := len(tokens) - count
	if warm < 0 {
		return 0, fmt.Errorf("clients: found %d tokens, expected at least %d", len(tokens), count)
	}
	all := make([]*client, len(tokens))
	defer func() {
		for _, c := range all {
			if c != nil {
				_ = c.Close() // it is in
			}
		}
	}()
	if err := loginSome(ctx, addr, transport, tokens[:warm], all[:warm]); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := loginSome(ctx, addr, transport, tokens[warm:], all[warm:]); err != nil {
		return 0, err
	}
	return float64(count) / time.Since(begun).Seconds(), nil
}

func loginSome(ctx context.Context, addr, transport string, tokens []string, into []*client) error {
	workers, ctx := errgroup.WithContext(ctx)
	for worker := range dialing {
		workers.Go(func() error {
			for i := worker; i < len(tokens); i += dialing {
				c, err := dial(ctx, transport, addr)
				if err != nil {
					return err
				}
				into[i] = c
				answer, err := c.ask("login", []byte(`{"token":"`+tokens[i]+`"}`))
				if err == nil && !bytes.Contains(answer, []byte(`"uid":"player`)) {
					err = fmt.Errorf("a login was answered by %s", answer)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return workers.Wait()
}
