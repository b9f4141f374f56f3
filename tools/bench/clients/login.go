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
	if err := n.logins(db); err != nil {
		return err
	}
	path := filepath.Join(dir, "tokens")
	if err := n.issue(ctx, path, players); err != nil {
		return err
	}
	if err := n.open(gate.Config{Handle: echoRequest}); err != nil {
		return err
	}
	return n.serve(ctx, ready, []string{transport}, path)
}

// logins gives a node what clients log in with.
func (n *node) logins(db store.Backend) error {
	if _, err := n.sys.Spawn(store.Spec(store.Config{Backend: db})); err != nil {
		return err
	}
	_, err := n.sys.Spawn(login.Spec(login.Config{TokenKeys: [][]byte{bytes.Repeat([]byte("k"), login.MinKey)}}))
	return err
}

// issue writes a token of each player to a file, one a line.
func (n *node) issue(ctx context.Context, path string, players int) error {
	service, ok := n.sys.Lookup(login.ServiceName)
	if !ok {
		return errors.New("clients: there is no login service")
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
	return os.WriteFile(path, []byte(tokens.String()), 0o600)
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

// loginAll logs in at all addresses of ready in turns; its last word is the path of the tokens.
func loginAll(ctx context.Context, ready, transport string, count int) (perSecond float64, err error) {
	words := strings.Fields(ready)
	addrs, path := words[:len(words)-1], words[len(words)-1]
	text, err := os.ReadFile(path)
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
	if err := loginSome(ctx, addrs, transport, tokens[:warm], all[:warm]); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := loginSome(ctx, addrs, transport, tokens[warm:], all[warm:]); err != nil {
		return 0, err
	}
	return float64(count) / time.Since(begun).Seconds(), nil
}

func loginSome(ctx context.Context, addrs []string, transport string, tokens []string, into []*client) error {
	workers, ctx := errgroup.WithContext(ctx)
	for worker := range dialing {
		workers.Go(func() error {
			for i := worker; i < len(tokens); i += dialing {
				c, err := dial(ctx, transport, addrs[i%len(addrs)])
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
