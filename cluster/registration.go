package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// registration is what the servers have of a name.
type registration struct {
	revision    uint64 // 0 if they know nothing of it
	incarnation uint64 // 0 if it has ended
	life        string // of whoever wrote it
	lease       time.Duration
	expires     bool // JetStream ends it
}

// errStale says that a server has answered with what it had before something that is known here: it is a replica that is behind, or has not applied yet what it is about to write.
var errStale = errors.New("cluster: the servers answer with what they had before")

// ended tells whether the registration under an incarnation has ended. Only what is newer than it shows that: who reads may get what was there before, from any server.
func (r registration) ended(incarnation uint64) (bool, error) {
	switch {
	case r.incarnation == incarnation:
		return false, nil
	case r.revision == 0 || r.revision > incarnation:
		return true, nil
	default:
		return false, fmt.Errorf("%w: revision %d, which is older than incarnation %d", errStale, r.revision, incarnation)
	}
}

const codeNoMessage = 10037 // as the codes in buckets.go

// read asks the leader of the bucket for what it has of a name. Buckets ask any server, which may be behind, and tell of a name that has ended as of one that never was.
func (n *Node) read(ctx context.Context, name string) (registration, error) {
	question, err := json.Marshal(map[string]string{"last_by_subj": nodeSubject(name)})
	if err != nil {
		return registration{}, err
	}
	m, err := n.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET.KV_"+bucketName, question)
	if err != nil {
		return registration{}, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq  uint64 `json:"seq"`
			Hdrs []byte `json:"hdrs"`
			Data []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return registration{}, fmt.Errorf("cluster: JetStream's answer about %s: %w", name, err)
	}
	if e := answer.Error; e != nil && e.ErrorCode == codeNoMessage {
		return registration{}, nil
	} else if e != nil {
		return registration{}, e
	}
	r := registration{revision: answer.Message.Seq}
	if len(answer.Message.Hdrs) > 0 {
		h, err := nats.DecodeHeadersMsg(answer.Message.Hdrs)
		if err != nil {
			return registration{}, fmt.Errorf("cluster: JetStream's answer about %s: %w", name, err)
		}
		if h.Get("KV-Operation") != "" || h.Get(jetstream.MarkerReasonHeader) != "" {
			return r, nil
		}
		r.expires = h.Get(jetstream.MsgTTLHeader) != ""
	}
	content := parseEntry(r.revision, answer.Message.Data)
	r.incarnation, r.life, r.lease = content.Incarnation, content.Life, n.leaseOf(content)
	return r, nil
}

// parseEntry reads an entry. Its first revision is its incarnation, also that of one that can't be read.
func parseEntry(revision uint64, text []byte) (e entry) {
	if err := json.Unmarshal(text, &e); err != nil {
		e = entry{}
	}
	if e.Incarnation == 0 {
		e.Incarnation = revision
	}
	return e
}

func nodeSubject(name string) string { return "$KV." + bucketName + "." + name }

// look reads a registration, and tells whether the one under an incarnation has ended.
func (n *Node) look(ctx context.Context, name string, incarnation uint64) (r registration, ended bool, err error) {
	if r, err = n.read(ctx, name); err == nil {
		ended, err = r.ended(incarnation)
	}
	return r, ended, err
}

// Ended tells whether the registration of a name under an incarnation has ended: whoever had it can't trust its lease any more. What the servers had before that incarnation proves nothing, and is an error. It
// blocks for a round trip; ctx bounds that.
func (n *Node) Ended(ctx context.Context, name string, incarnation uint64) (bool, error) {
	_, ended, err := n.look(ctx, name, incarnation)
	if err != nil {
		return false, fmt.Errorf("cluster: reading the registration of %s: %w", name, err)
	}
	return ended, nil
}

// Evict ends the registration of another node under an incarnation, if it has that still: when it wants to renew it, it learns that it has lost its name. Whoever
// calls this knows that the node is without a connection, and for how long: it may trust its lease until it tries to renew that.
func (n *Node) Evict(ctx context.Context, name string, incarnation uint64) error {
	r, ended, err := n.look(ctx, name, incarnation)
	if err == nil && !ended {
		err = n.kv.Delete(ctx, name, jetstream.LastRevision(r.revision))
	}
	if err != nil {
		return fmt.Errorf("cluster: evicting %s: %w", name, err)
	}
	return nil
}
