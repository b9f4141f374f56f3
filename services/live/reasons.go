package live

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/room"
)

// refusal is an end that the client is told of in these words.
type refusal struct{ packet.Reason }

// Error is what people read.
func (r *refusal) Error() string { return "live: " + r.Code + ": " + r.Msg }

func refuse(code, format string, args ...any) error {
	return &refusal{packet.Reason{Code: code, Msg: fmt.Sprintf(format, args...)}}
}

// The ends that have nothing to add.
var (
	errStopping = &refusal{packet.Reason{Code: "shutdown", Msg: "the server is stopping"}}
	errClosed   = &refusal{packet.Reason{Code: "closed", Msg: "the client has closed it"}}
	errStranger = &refusal{packet.Reason{Code: "not_logged_in", Msg: "rooms are for those who have logged in"}}
	errEarly    = &refusal{packet.Reason{Code: "bad_request", Msg: "it is not opened yet: what is published follows the server's word"}}
	errGone     = errors.New("live: the connection has ended")
)

// errorf is what a client does that does not speak the protocol.
func errorf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{packet.ErrMedia}, args...)...)
}

// farewell tells a client of an end.
func farewell(id uint32, why error) packet.MediaControl {
	r := reasonOf(why)
	return packet.MediaControl{Op: packet.MediaEnded, ID: id, Code: r.Code, Msg: r.Msg}
}

// reasonOf is what a client may know of an error. What rooms and media say is meant for those who come.
func reasonOf(why error) packet.Reason {
	if own, ok := errors.AsType[*refusal](why); ok {
		return own.Reason
	}
	for _, known := range []struct {
		err  error
		code string
	}{
		{room.ErrName, "bad_name"},
		{room.ErrSignature, "denied"},
		{room.ErrDenied, "denied"},
		{room.ErrRules, "unavailable"},
		{room.ErrOffline, "offline"},
		{room.ErrKicked, "kicked"},
		{room.ErrReplaced, "replaced"},
		{room.ErrCrowded, "full"},
		{media.ErrFull, "full"},
		{media.ErrBusy, "busy"},
		{media.ErrSlow, "too_slow"},
		{media.ErrClosed, "closed"},
	} {
		if errors.Is(why, known.err) {
			return packet.Reason{Code: known.code, Msg: why.Error()}
		}
	}
	return packet.Reason{Code: "internal", Msg: "internal error"}
}
