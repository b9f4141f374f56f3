package reload

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	code "github.com/skua-go/skua/lua/reload"
)

// Versions is what runs, and what has run.
type Versions struct {
	Current string         `json:"current" doc:"The version of the cluster."`
	Nodes   []Runs         `json:"nodes"`
	History []HistoryEntry `json:"history" doc:"The newest first."`
	// Kept are those that can be gone back to.
	Kept []string `json:"kept" doc:"IDs of versions that can be gone back to."`
}

// Versions asks all nodes for what they run. A node that does not answer is named with the reason.
func (s *Service) Versions(ctx context.Context, entries int) (Versions, error) {
	v := Versions{History: []HistoryEntry{}, Kept: []string{}}
	others := s.others()
	v.Nodes = make([]Runs, 1+len(others))
	var all sync.WaitGroup
	all.Go(func() {
		v.Nodes[0] = s.part.survey(ctx, surveyTime)
		v.Nodes[0].Behind = s.part.why()
	})
	for i := range others {
		all.Go(func() {
			a, err := s.send(ctx, &others[i], order{Step: stepSurvey})
			if v.Nodes[i+1] = (Runs{Node: others[i].Name}); err != nil {
				v.Nodes[i+1].Error = err.Error()
			} else if a.Runs != nil {
				v.Nodes[i+1] = *a.Runs
			}
		})
	}
	err := s.recorded(ctx, &v, entries)
	all.Wait()
	return v, err
}

// diffTime bounds the reading of versions for a diff.
const diffTime = 8 * time.Second

// Diff is what a version has changed: from another one, or from the one that it has replaced if that is empty.
func (s *Service) Diff(ctx context.Context, id, from string) ([]FileChange, error) {
	ctx, cancel := context.WithTimeout(ctx, diffTime)
	defer cancel()
	for _, text := range []string{id, from} {
		if text != "" && !isID(text) {
			return nil, fmt.Errorf("%w: found %q, expected 16 hexadecimal digits", ErrNoVersion, clip(text))
		}
	}
	to, err := s.kept.load(ctx, id, "")
	if err != nil {
		return nil, err
	}
	if from == "" {
		history, err := s.kept.history(ctx)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(history, func(e HistoryEntry) bool { return e.ID == id && e.From != "" && e.From != id }); i >= 0 {
			from = history[i].From
		}
	}
	was := code.NewVersion(nil)
	if from != "" {
		if was, err = s.kept.load(ctx, from, ""); err != nil {
			return nil, err
		}
	}
	return changes(was, to, true), nil
}

// recorded reads what is kept.
func (s *Service) recorded(ctx context.Context, v *Versions, entries int) error {
	current, err := s.kept.current(ctx)
	if err != nil {
		return err
	}
	if current != nil {
		v.Current = current.ID
	}
	history, err := s.kept.history(ctx)
	if err != nil {
		return err
	}
	for i := range history {
		id := history[i].ID
		if slices.Contains(v.Kept, id) {
			continue
		}
		if m, err := s.kept.meta(ctx, id); err != nil {
			return err
		} else if m != nil {
			v.Kept = append(v.Kept, id)
		}
	}
	v.History = history[:min(len(history), entries)]
	return nil
}
