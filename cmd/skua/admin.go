package main

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"time"

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

// adminServer is what operators look at. Its logs are to be closed when it has ended.
func (n *node) adminServer() (s *admin.Server, closeLogs func() error, err error) {
	cfg := &n.project.cfg
	s = &admin.Server{
		Token: cfg.Admin.Token.Reveal(), Metrics: n.metrics, Log: n.log.With("part", "admin"),
		Version: admin.Version{Version: version, Commit: commit, Go: runtime.Version(), Node: cfg.Name, Started: time.Now()},
		Cluster: n.control, Ready: n.isReady, API: n.adminAPI(),
	}
	if s.Tokens, err = cfg.Admin.tokens(); err != nil {
		return nil, nil, err
	}
	if s.Audit, err = admin.OpenAudit(filepath.Join(cfg.Path(cfg.Data), auditFile), 0, 0); err != nil {
		return nil, nil, err
	}
	if s.Refusals, err = admin.OpenAudit(filepath.Join(cfg.Path(cfg.Data), refusedFile), refusedBytes, refusedLogs); err != nil {
		return nil, nil, errors.Join(err, s.Audit.Close())
	}
	n.auditReloads(s.Audit)
	return s, func() error { return errors.Join(s.Audit.Close(), s.Refusals.Close()) }, nil
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
