package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/services/admin"
)

// Files in the directory of data.
const (
	auditFile   = "audit.log"
	refusedFile = "audit-refused.log"
	// refusedBytes and refusedLogs bound what strangers can write.
	refusedBytes = 1 << 20
	refusedLogs  = 2
)

// openAdmin has operators look at the node, and order it to do things: at its listeners, as far as it has them, and from other nodes. stop is to be called when doors are closed.
func (n *node) openAdmin(ctx context.Context, l *listeners, doors *errgroup.Group) (stop func() error, err error) {
	peers := n.newAdminPeers(ctx)
	server, closeServer, err := n.adminServer(peers)
	if err != nil {
		return nil, err
	}
	peers.server = server
	stopInbox, err := n.inbox.serve()
	if err != nil {
		return nil, errors.Join(err, closeServer())
	}
	if l.admin != nil {
		doors.Go(func() error { return server.Serve(ctx, l.admin) })
	}
	if l.console != nil {
		doors.Go(func() error { return server.ServeConsole(ctx, l.console) })
	}
	return func() error { return errors.Join(stopInbox(), closeServer()) }, nil
}

// adminServer is what operators look at. It is to be closed when nobody asks it any more.
func (n *node) adminServer(peers admin.Peers) (s *admin.Server, closeIt func() error, err error) {
	cfg := &n.project.cfg
	s = &admin.Server{
		Token: cfg.Admin.Token.Reveal(), Metrics: n.metrics, Log: n.log.With("part", "admin"),
		Version: admin.Version{Version: version, Commit: commit, Go: runtime.Version(), Node: cfg.Name, Started: time.Now()},
		Cluster: n.control, Ready: n.isReady, API: n.adminAPI(peers),
	}
	if s.Tokens, err = cfg.Admin.tokens(); err != nil {
		return nil, nil, err
	}
	if s.Certificates, err = cfg.Admin.certificates(); err != nil {
		return nil, nil, err
	}
	if s.ClientRoots, err = cfg.clientRoots(); err != nil {
		return nil, nil, fmt.Errorf("admin.client_ca: %w", err)
	}
	if s.Audit, err = admin.OpenAudit(filepath.Join(cfg.Path(cfg.Data), auditFile), 0, 0); err != nil {
		return nil, nil, err
	}
	if s.Refusals, err = admin.OpenAudit(filepath.Join(cfg.Path(cfg.Data), refusedFile), refusedBytes, refusedLogs); err != nil {
		return nil, nil, errors.Join(err, s.Audit.Close())
	}
	n.auditReloads(s.Audit)
	return s, func() error {
		s.Close()
		return errors.Join(s.Audit.Close(), s.Refusals.Close())
	}, nil
}

// isReady says why players can't come, if they can't.
func (n *node) isReady(context.Context) error {
	switch {
	case !n.peers.Lease().Held:
		return errors.New("the node's name in the cluster is not held")
	case n.members.Self().Draining:
		return errors.New("the node is draining")
	}
	return nil
}
