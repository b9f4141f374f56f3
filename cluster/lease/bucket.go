package lease

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxValue bounds the values of the bucket: an entry with its meta in base64.
const maxValue = 8 << 10

// openBucket opens the bucket.
func (l *Leases) openBucket(ctx context.Context) error {
	kv, err := l.node.EpochBucket(ctx, jetstream.KeyValueConfig{
		Bucket: l.cfg.Bucket, Description: "Who holds which lease of a Skua cluster", MaxValueSize: maxValue,
		LimitMarkerTTL: l.cfg.TTL, // lets the marks of purged keys have a TTL
	})
	if err == nil {
		l.kv = kv
		l.stream, err = l.node.StreamOf(ctx, l.cfg.Bucket)
	}
	if err != nil {
		return fmt.Errorf("lease: bucket %s: %w", l.cfg.Bucket, err)
	}
	return nil
}

// errConflict says that the key is not at the revision that was expected.
var errConflict = errors.New("lease: the key has changed")

func (l *Leases) subject(key string) string { return "$KV." + l.cfg.Bucket + "." + key }

// put writes the key if it is at a revision, 0 for one that has none, and tells the new one. Its errors are errConflict, and others after which it may have been written.
//
// The entry has no TTL of JetStream's. When one ends, the leader of the stream writes a mark without asking for a revision: a write that was accepted and is not stored yet then is gone a moment later,
// although it was acknowledged (nats-server 2.15, handleRemovalOrSdm). That is so above all when the bucket has a leader again after a while, and all want what has ended meanwhile.
func (l *Leases) put(ctx context.Context, key string, e *entry, revision uint64) (uint64, error) {
	text, err := e.encode()
	if err != nil {
		return 0, err
	}
	m := nats.NewMsg(l.subject(key))
	m.Data = text
	return l.publish(ctx, m, revision)
}

// purge takes the key away. The mark that it leaves ends after the TTL: JetStream removes one by its revision.
func (l *Leases) purge(ctx context.Context, key string, revision uint64) (uint64, error) {
	m := nats.NewMsg(l.subject(key))
	m.Header.Set("KV-Operation", "PURGE")
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Header.Set(jetstream.MsgTTLHeader, l.cfg.TTL.String())
	return l.publish(ctx, m, revision)
}

func (l *Leases) publish(ctx context.Context, m *nats.Msg, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.attempt())
	defer cancel()
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	begun := time.Now()
	// Another attempt is ours to make: it needs to know when it began.
	ack, err := l.node.JetStream().PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	var refused *jetstream.APIError
	if errors.As(err, &refused) &&
		(refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		l.life.beaten(begun)
		return 0, errConflict
	}
	if err != nil {
		return 0, err
	}
	l.life.beaten(begun)
	return ack.Sequence, nil
}

// load reads a key and notes what it finds: an entry, nil if there is none, and the revision, 0 if there is not even the mark of a former one. It may be older than what is known.
func (l *Leases) load(ctx context.Context, key string) (*entry, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.attempt())
	defer cancel()
	m, err := l.stream.GetLastMsgForSubject(ctx, l.subject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.vanished(key)
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var e *entry
	if m.Header.Get("KV-Operation") == "" && m.Header.Get(jetstream.MarkerReasonHeader) == "" {
		e = decode(m.Data)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.see(key, e, m.Sequence)
	return e, m.Sequence, nil
}
