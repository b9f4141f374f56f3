package datacenter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
)

const (
	bucketName  = "skua_datacenter"
	subjectRoot = "$KV." + bucketName
	// ownerSubject has who took the tree over last. No key's token begins like that.
	ownerSubject = subjectRoot + ".0"

	// maxRecord bounds a value with its path, in bytes: what a message of NATS may have by default, less the head.
	maxRecord   = 1000 << 10
	maxRecords  = 24 << 20       // bytes of all that count
	maxBytes    = 2 * maxRecords // the rest is for what is about to be purged
	overhead    = 100            // bytes of a record beside subject and content
	maxTokens   = 32             // keys of a path that are in its subject
	maxToken    = 40             // bytes of a key that are
	inFlight    = 256
	writeWithin = 20 * time.Second // longer than JetStream stands still while it elects a leader
)

// errTaken says that somebody else writes.
var errTaken = errors.New("datacenter: another node has taken the tree over")

// record is what was set, as the last message of each path in a bucket of JetStream: set anew in the order of its stream, it makes the tree. Each message is written behind the one that this node
// wrote last, or not at all, so a node that does not know yet that it has lost the tree writes nothing. What lies below a path that is set, and is not needed any more, is purged behind that.
type record struct {
	node  *cluster.Node
	self  string // who writes
	coder *wire.Coder
	log   *slog.Logger

	stream jetstream.Stream
	last   uint64 // sequence of the last message
}

func newRecord(node *cluster.Node, self string, log *slog.Logger) *record {
	return &record{node: node, self: self, coder: wire.NewCoder(wire.NewTypes(), nil, nil, nil), log: log}
}

// encode is a path and what is to be there as bytes.
func (r *record) encode(path []value.Value, v value.Value) ([]byte, error) {
	var b value.Builder
	for _, k := range path {
		b.Value(k)
	}
	b.Value(v)
	return r.coder.Append(nil, b.List())
}

func (r *record) decode(data []byte) (path, value.Value, error) {
	read := r.coder.Reader(data)
	v, err := read.Message()
	if err == nil {
		err = read.End()
	}
	if err != nil {
		return nil, value.Value{}, err
	}
	l, ok := v.(value.List)
	if !ok || l.Len() < 2 {
		return nil, value.Value{}, fmt.Errorf("%w: a path and a value are expected", ErrPath)
	}
	var raw []value.Value
	for _, e := range l.All {
		raw = append(raw, e)
	}
	last := len(raw) - 1
	p, err := pathOf(raw[:last])
	return p, raw[last], err
}

// sizeOf is the bytes that a record takes.
func sizeOf(p path, data []byte) int32 { return int32(len(p.subject()) + len(data) + overhead) }

// subject is that of a path: a token for each key. Paths that are too long share their last one.
func (p path) subject() string {
	var b strings.Builder
	b.WriteString(subjectRoot)
	for i, k := range p {
		if i == maxTokens {
			b.WriteString(".d")
			b.WriteString(digest(fmt.Sprintf("%#v", p[i:])))
			break
		}
		b.WriteByte('.')
		b.WriteString(token(k))
	}
	return b.String()
}

// token is a key as part of a subject, where neither dots nor wildcards may be.
func token(k any) string {
	switch k := k.(type) {
	case bool:
		return "b" + strconv.FormatBool(k)
	case int64:
		return "i" + strconv.FormatInt(k, 10)
	case float64:
		return "f" + hex.EncodeToString(strconv.AppendFloat(nil, k, 'g', -1, 64))
	default:
		s, _ := k.(string)
		if len(s) > maxToken || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return "h" + digest(s)
		}
		return "s" + s
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// open finds the bucket, or makes it.
func (r *record) open(ctx context.Context) error {
	_, err := r.node.Bucket(ctx, jetstream.KeyValueConfig{
		Bucket: bucketName, Description: "The tree of skynet.datacenter", Storage: jetstream.MemoryStorage, MaxValueSize: maxRecord, MaxBytes: maxBytes,
	})
	if err == nil {
		r.stream, err = r.node.StreamOf(ctx, bucketName)
	}
	if err != nil {
		return fmt.Errorf("datacenter: bucket %s: %w", bucketName, err)
	}
	return nil
}

// load takes the record over, so that nobody else writes to it, and gives the tree.
func (r *record) load(ctx context.Context) (*node, error) {
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	if err := r.node.Persist(ctx, r.take); err != nil {
		return nil, err
	}
	messages, err := r.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return nil, fmt.Errorf("datacenter: read the tree: %w", err)
	}
	all, err := messages.Messages()
	if err != nil {
		return nil, fmt.Errorf("datacenter: read the tree: %w", err)
	}
	defer all.Stop()
	root := branch()
	for {
		m, err := all.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("datacenter: read the tree: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("datacenter: read the tree: %w", err)
		}
		if meta.Sequence.Stream >= r.last {
			return root, nil
		}
		if m.Subject() == ownerSubject {
			continue
		}
		p, v, err := r.decode(m.Data())
		if err != nil { // one that somebody else wrote there
			r.log.Error("datacenter: a value can't be read and is left out", "subject", m.Subject(), "sequence", meta.Sequence.Stream, "error", err)
			continue
		}
		root.force(p, v, sizeOf(p, m.Data()))
	}
}

// take writes who has the tree now, behind what was written last.
func (r *record) take(ctx context.Context) error {
	for {
		info, err := r.stream.Info(ctx)
		if err != nil {
			return fmt.Errorf("datacenter: bucket %s: %w", bucketName, err)
		}
		ack, err := r.node.JetStream().Publish(ctx, ownerSubject, []byte(r.self), jetstream.WithExpectLastSequence(info.State.LastSeq))
		if err == nil {
			r.last = ack.Sequence
			return nil
		}
		if !isTaken(err) || ctx.Err() != nil {
			return fmt.Errorf("datacenter: take the tree over: %w", err)
		}
	}
}

func isTaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// write keeps changes, in order. After an error some of them may be kept and some not.
func (r *record) write(ctx context.Context, batch []change) error {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	for len(batch) > 0 {
		n := min(len(batch), inFlight)
		if err := r.publish(ctx, batch[:n]); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

func (r *record) publish(ctx context.Context, batch []change) error {
	js := r.node.JetStream()
	acks := make([]jetstream.PubAckFuture, len(batch))
	for i, ch := range batch {
		m := nats.NewMsg(ch.path.subject())
		m.Data = ch.data
		var err error
		if acks[i], err = js.PublishMsgAsync(m, jetstream.WithExpectLastSequence(r.last+uint64(i))); err != nil {
			return fmt.Errorf("datacenter: keep %s: %w", ch.path, err)
		}
	}
	for i, ack := range acks {
		select {
		case got := <-ack.Ok():
			r.last = got.Sequence
		case err := <-ack.Err():
			if isTaken(err) {
				err = errTaken
			}
			return fmt.Errorf("datacenter: keep %s: %w", batch[i].path, err)
		case <-ctx.Done():
			return fmt.Errorf("datacenter: keep %s: %w", batch[i].path, context.Cause(ctx))
		}
	}
	first := r.last - uint64(len(batch)) + 1
	for i, ch := range batch {
		r.tidy(ctx, ch, first+uint64(i))
	}
	return nil
}

// tidy purges what a change has made needless. What stays behind a failure takes memory and harms nobody.
func (r *record) tidy(ctx context.Context, ch change, at uint64) {
	subject := ch.path.subject()
	if ch.branch && len(ch.path) <= maxTokens {
		r.purge(ctx, subject+".>", at)
	}
	if ch.gone {
		r.purge(ctx, subject, at+1)
	}
}

func (r *record) purge(ctx context.Context, subject string, below uint64) {
	if err := r.stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(below)); err != nil {
		r.log.Warn("datacenter: what is not needed any more stays", "subject", subject, "error", err)
	}
}
