package reload

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/lua"
)

// A node takes orders at skua.reload.NAME: HMAC-SHA256 of the rest by a key made of cluster.secret, then JSON. Each names the incarnation that is meant and the epoch
// of who leads, so that one that somebody has seen, or that comes late, does nothing.
const (
	orderVersion = 1
	maxOrder     = 4 << 10
	maxOrders    = 64 // that wait
	maxAnswer    = 512 << 10
	// prepareTime bounds what a node takes to compile a version.
	prepareTime = 30 * time.Second
	// flushTime bounds the wait for the server to know the subscription.
	flushTime = 5 * time.Second
)

func orderSubject(name string) string { return "skua.reload." + name }

// The steps of an order.
const (
	stepPrepare = "prepare"
	stepApply   = "apply"
	stepUndo    = "undo"
	stepCommit  = "commit"
	stepSurvey  = "survey"
	stepTry     = "try"  // the group of a canary goes over
	stepLook    = "look" // what has been counted
	stepEnd     = "end"  // the canary that this node leads
)

type order struct {
	V           int    `json:"v"`
	Node        string `json:"node"`
	Incarnation uint64 `json:"inc"`
	Step        string `json:"step"`
	Epoch       uint64 `json:"epoch,omitempty"`
	To          string `json:"to,omitempty"`
	Sum         string `json:"sum,omitempty"`
	Down        bool   `json:"down,omitempty"`
	Dry         bool   `json:"dry,omitempty"`
	Group       string `json:"group,omitempty"`
	Who         string `json:"who,omitempty"`
}

type answer struct {
	Error   string    `json:"error,omitempty"`
	Plan    *NodePlan `json:"plan,omitempty"`
	Applied *Applied  `json:"applied,omitempty"`
	Runs    *Runs     `json:"runs,omitempty"`
	// Of a canary: what handlers have done, by script and version; what it was from and to.
	Figures map[string]map[string]lua.Figures `json:"figures,omitempty"`
	From    string                            `json:"from,omitempty"`
	To      string                            `json:"to,omitempty"`
	Canary  *Canary                           `json:"canary,omitempty"`
}

// group is the one of a canary; nil if the order is for all.
func (o *order) group() (*Group, error) {
	if o.Group == "" {
		return nil, nil //nolint:nilnil // it is for all
	}
	g, err := ParseGroup(o.Group)
	return &g, err
}

func (s *Service) signed(body []byte) []byte {
	m := hmac.New(sha256.New, s.cfg.Key)
	m.Write(body)
	return m.Sum(nil)
}

// takeOrders has the node obey those who lead changes, until stop is called, which waits for the order that is carried out.
func (s *Service) takeOrders(ctx context.Context) (stop func() error, err error) {
	sub, err := s.cfg.Node.Conn().Subscribe(orderSubject(s.cfg.Name), func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.task(func() { s.obey(ctx, m) }) // a node that stops is found out by whoever waits for its answer
	})
	if err == nil {
		err = sub.SetPendingLimits(maxOrders, maxOrders*maxOrder)
	}
	if err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	// Whoever reads that this node is ready may send orders over another connection. Without a connection the subscription goes out with the next one.
	_ = s.cfg.Node.Conn().FlushTimeout(flushTime)
	return func() error {
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
			return fmt.Errorf("reload: %w", err)
		}
		return nil
	}, nil
}

// read takes an order apart, or says why it is none.
func (s *Service) read(data []byte) (o order, err error) {
	switch {
	case s.cfg.Key == nil:
		return o, ErrNoSecret
	case len(data) > maxOrder || len(data) < sha256.Size || !hmac.Equal(data[:sha256.Size], s.signed(data[sha256.Size:])):
		return o, errors.New("reload: the order is not signed by this cluster's secret")
	}
	if err := json.Unmarshal(data[sha256.Size:], &o); err != nil || o.V != orderVersion {
		return o, fmt.Errorf("reload: expected an order of version %d", orderVersion)
	}
	if own := s.cfg.Members.Self().Incarnation; o.Incarnation != own || o.Node != s.cfg.Name {
		return o, fmt.Errorf("reload: the order is for incarnation %d of %q, this is %d of %q", o.Incarnation, o.Node, own, s.cfg.Name)
	}
	return o, nil
}

// obey carries out an order, and answers.
func (s *Service) obey(ctx context.Context, m *nats.Msg) {
	o, err := s.read(m.Data)
	a := answer{}
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), prepareTime+2*s.cfg.Timeout) // what is begun is ended
		defer cancel()
		if err = s.carryOut(ctx, &o, &a); errors.Is(err, ErrFenced) {
			s.refuses(err)
		}
	} else {
		s.refuses(err)
	}
	if err != nil {
		a.Error = clip(err.Error())
	}
	text, err := json.Marshal(a)
	if err == nil && len(text) > maxAnswer {
		text, err = json.Marshal(answer{Error: a.Error, Applied: &Applied{Node: s.cfg.Name}, Runs: &Runs{Node: s.cfg.Name, Error: "it has too much to tell"}, Plan: &NodePlan{Node: s.cfg.Name}})
	}
	if err == nil {
		err = m.Respond(text)
	}
	if err != nil {
		s.log.Debug("reload: whoever has sent an order is not answered", "error", err)
	}
}

func (s *Service) refuses(why error) {
	s.metrics.refused.Inc()
	s.log.Warn("reload: an order is refused", "error", why)
}

func (s *Service) carryOut(ctx context.Context, o *order, a *answer) error {
	switch o.Step {
	case stepPrepare:
		group, err := o.group()
		if err != nil {
			return err
		}
		if !o.Dry && s.part.isOver(o.Epoch) {
			return fmt.Errorf("%w: the change of epoch %d has ended here", ErrFenced, o.Epoch)
		}
		to, err := s.kept.load(ctx, o.To, o.Sum)
		if err != nil {
			return err
		}
		plan, err := s.part.prepare(ctx, o.Epoch, to, o.Down, !o.Dry, group)
		a.Plan = &plan
		return err
	case stepTry, stepLook:
		var done Applied
		var err error
		if o.Step == stepTry {
			done, err = s.part.try(ctx, o.Epoch)
		} else {
			done, a.Figures, err = s.part.look(ctx, o.Epoch)
		}
		a.Applied = &done
		return err
	case stepEnd:
		c, err := s.endCanary(ctx, o.Who, o.Epoch)
		if err == nil && c.State == Running {
			err = errors.New("reload: the canary is being taken back, and that takes long: `skua versions` tells what came of it")
		}
		a.From, a.To, a.Canary = c.To, c.From, c.Canary
		return err
	case stepApply:
		done, err := s.part.apply(ctx, o.Epoch)
		a.Applied = &done
		return err
	case stepUndo:
		return s.part.undo(ctx, o.Epoch)
	case stepCommit:
		return s.part.commit(ctx, o.Epoch)
	case stepSurvey:
		runs := s.part.survey(ctx, surveyTime)
		runs.Behind = s.part.why()
		a.Runs = &runs
		return nil
	}
	return fmt.Errorf("reload: found an order to %q, expected one of prepare, try, look, apply, undo, commit, survey, end", clip(o.Step))
}

// send gives a node an order, and waits until it has carried it out. Its errors name the node.
func (s *Service) send(ctx context.Context, to *cluster.Member, o order) (answer, error) {
	a := answer{}
	if s.cfg.Key == nil {
		return a, fmt.Errorf("%s: %w", to.Name, ErrNoSecret)
	}
	o.V, o.Node, o.Incarnation = orderVersion, to.Name, to.Incarnation
	body, err := json.Marshal(o)
	if err != nil {
		return a, fmt.Errorf("reload: %w", err)
	}
	// A node that is told to go on may have to go back, which takes as long again.
	patience := map[string]time.Duration{
		stepPrepare: prepareTime, stepApply: 2 * s.cfg.Timeout, stepUndo: s.cfg.Timeout, stepCommit: leadTime, stepSurvey: surveyTime,
		stepTry: 2 * s.cfg.Timeout, stepLook: s.cfg.Timeout, stepEnd: 2 * s.cfg.Timeout,
	}
	ctx, cancel := context.WithTimeout(ctx, patience[o.Step]+time.Second)
	defer cancel()
	m, err := s.cfg.Node.Conn().RequestMsgWithContext(ctx, &nats.Msg{Subject: orderSubject(to.Name), Data: append(s.signed(body), body...)})
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return a, fmt.Errorf("%s: it takes no orders: it starts, or stops", to.Name)
	case err != nil:
		return a, fmt.Errorf("%s: it does not answer to %s: %w", to.Name, o.Step, err)
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return a, fmt.Errorf("%s: its answer to %s can't be read", to.Name, o.Step)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s", to.Name, a.Error)
	}
	return a, nil
}
