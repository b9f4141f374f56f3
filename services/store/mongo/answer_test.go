package mongo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/internal/mongotest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

func TestAnswersOfMongoDBGetTheirClass(t *testing.T) {
	writeError := func(code int) bson.D {
		return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "nModified", Value: 0}, {Key: "writeErrors", Value: bson.A{
			bson.D{{Key: "index", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: "because"}},
		}}}
	}
	other := errors.New("an error of no class")
	for _, c := range []struct {
		name   string
		update bson.D
		want   error
	}{
		{"not the primary", mongotest.Failure(10107, "not primary"), store.ErrUnavailable},
		{"shutting down", mongotest.Failure(91, "shutdown in progress"), store.ErrUnavailable},
		{"out of time", mongotest.Failure(50, "operation exceeded time limit"), store.ErrUnavailable},
		{"no right to write", mongotest.Failure(13, "not authorized"), other},
		{"unknown command", mongotest.Failure(59, "no such command"), other},
		{"no majority in time", bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "nModified", Value: 1}, {Key: "writeConcernError", Value: bson.D{
			{Key: "code", Value: 64}, {Key: "errmsg", Value: "waiting for replication timed out"},
		}}}, store.ErrUnavailable},
		{"validation", writeError(121), store.ErrInvalid},
		{"too large", writeError(10334), store.ErrTooLarge},
		{"full disk", writeError(14031), store.ErrUnavailable},
		{"write conflict", writeError(112), store.ErrUnavailable},
		{"internal", writeError(8), other},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := mongotest.AnswerWith(t, map[string]bson.D{"update": c.update})
			db := open(t, mongo.Options{URI: "mongodb://" + a.Addr() + "/?maxPoolSize=1", Timeout: 5 * time.Second})
			errs, err := db.Apply(context.Background(), []store.Write{write(t, "x", 1, 1)})
			if err == nil {
				err = errs[0]
			}
			known := errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrConflict)
			if err == nil || errors.Is(c.want, other) && known || !errors.Is(c.want, other) && !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if store.Retryable(err) != errors.Is(c.want, store.ErrUnavailable) || !strings.HasPrefix(err.Error(), "store: ") {
				t.Fatalf("got %v, retryable %v", err, store.Retryable(err))
			}
		})
	}
}

func TestWrongPasswordIsFinalAndNotShown(t *testing.T) {
	// The server's text repeats the password, as no server should.
	a := mongotest.AnswerWith(t, map[string]bson.D{"saslStart": mongotest.Failure(18, "Authentication failed for hunter2.")})
	db := open(t, mongo.Options{URI: "mongodb://me:hunter2@" + a.Addr() + "/?authMechanism=PLAIN&authSource=$external&maxPoolSize=1", Timeout: 5 * time.Second})
	for what, err := range map[string]error{
		"ping": db.Ping(context.Background()),
		"load": func() error { _, err := db.Load(context.Background(), "player", "x"); return err }(),
	} {
		if err == nil || store.Retryable(err) || strings.Contains(err.Error(), "hunter2") || !strings.Contains(strings.ToLower(err.Error()), "auth") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
