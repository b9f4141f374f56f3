// Package multicast has scripts send one message to all services that have subscribed to a channel. The message is made once, by its sender, and shared by all
// who get it; from the channels of one node to the actor topics that carry them it is one step.
//
// Scripts use it as skynet.multicast. Messages of one publisher arrive in the order in which it published them. Who subscribes while a message is on its way
// may get it or not; who unsubscribes gets none from then on.
package multicast

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// CoreName is the module that scripts/skynet/multicast.lua is written with.
const CoreName = "skynet.multicast.core"

// Type is Skynet's PTYPE_MULTICAST: the type of messages that come through a channel. They begin with its number, as text, since a host takes the first value
// of a message for a name; a negative number alone tells that the channel has been deleted.
const Type lua.Type = 2

// Config tells a Service its bounds. The zero value works.
type Config struct {
	// MaxChannels is how many channels there may be. Default 1,000,000; one takes some 100 bytes.
	MaxChannels int
}

// Service is the channels of one node.
type Service struct {
	max int

	mu   sync.RWMutex
	last int64
	byID map[int64]channel
}

// channel is the number as text, and the topic of that.
type channel struct{ id, topic string }

func channelOf(id int64) channel {
	text := strconv.FormatInt(id, 10)
	return channel{text, "multicast:" + text}
}

// New makes a Service without channels. Its Module belongs to the node's lua.Config.
func New(cfg Config) *Service {
	if cfg.MaxChannels <= 0 {
		cfg.MaxChannels = 1_000_000
	}
	return &Service{max: cfg.MaxChannels, byID: map[int64]channel{}}
}

// Module is what scripts/skynet/multicast.lua is written with. None of its functions waits.
func (srv *Service) Module() lua.Module {
	return lua.Module{Name: CoreName, Open: func(h *lua.Host, s vm.State) {
		s.NewTable(0, 5)
		for name, f := range map[string]func(h *lua.Host, s vm.State) int{
			"new": srv.apiNew, "delete": srv.apiDelete, "publish": srv.apiPublish, "subscribe": srv.apiSubscribe, "unsubscribe": srv.apiUnsubscribe,
		} {
			s.PushFunc(name, func(s vm.State) int { return f(h, s) })
			s.SetField(-2, name)
		}
	}}
}

// Channels is how many channels there are.
func (srv *Service) Channels() int {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	return len(srv.byID)
}

// channelAt is the channel that argument 1 names.
func (srv *Service) channelAt(s vm.State, what string) channel {
	id, ok := s.Int(1)
	if !ok {
		s.Errorf("multicast: %s: the number of a channel is expected, got %s", what, s.Type(1))
	}
	srv.mu.RLock()
	ch, ok := srv.byID[id]
	srv.mu.RUnlock()
	if !ok {
		s.Errorf("multicast: %s: there is no channel %d", what, id)
	}
	return ch
}

func (srv *Service) apiNew(_ *lua.Host, s vm.State) int {
	id, err := srv.add()
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	s.PushInt(id)
	return 1
}

func (srv *Service) add() (int64, error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if len(srv.byID) >= srv.max {
		return 0, fmt.Errorf("multicast: there are %d channels, and no more are allowed; those that nobody needs can be deleted", len(srv.byID))
	}
	srv.last++
	srv.byID[srv.last] = channelOf(srv.last)
	return srv.last, nil
}

// apiDelete ends a channel: its subscribers are told, so that they do not stay with it for ever. Like Skynet's it does nothing to one that is gone.
func (srv *Service) apiDelete(h *lua.Host, s vm.State) int {
	id, _ := s.Int(1)
	srv.mu.Lock()
	ch, ok := srv.byID[id]
	delete(srv.byID, id)
	srv.mu.Unlock()
	if ok {
		h.Context().Publish(ch.topic, lua.Message{Type: Type, Args: value.Of("-" + ch.id)})
	}
	return 0
}

// apiPublish sends its arguments, the first of which is the channel, and gives the number of subscribers.
func (srv *Service) apiPublish(h *lua.Host, s vm.State) int {
	ch := srv.channelAt(s, "publish")
	s.PushString(ch.id)
	s.Insert(1)
	s.Remove(2)
	l, err := lua.TakeList(s, 1)
	if err != nil {
		s.Errorf("multicast: publish: %s", err.Error())
	}
	s.PushInt(int64(h.Context().Publish(ch.topic, lua.Message{Type: Type, Args: l})))
	return 1
}

func (srv *Service) apiSubscribe(h *lua.Host, s vm.State) int {
	h.Context().Subscribe(srv.channelAt(s, "subscribe").topic)
	return 0
}

// apiUnsubscribe takes a subscription back, also one to a channel that is gone.
func (srv *Service) apiUnsubscribe(h *lua.Host, s vm.State) int {
	id, _ := s.Int(1)
	h.Context().Unsubscribe(channelOf(id).topic)
	return 0
}
