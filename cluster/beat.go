package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	// beatSubject is where all nodes tell of themselves.
	beatSubject = "skua.beat"
	// beatVersion is the first thing in a beat: nodes of another version are not understood, and not counted as members.
	beatVersion = 1
	maxBeat     = 16 << 10 // bytes; what is taken from others
	// maxBeats is how many beats may wait to be read.
	maxBeats = 4096
	// maxMembers bounds what a stranger can have a node remember.
	maxMembers = 1024

	maxTraits    = 32
	maxLabel     = 128     // of a label's name, and of a version
	maxLabelText = 2 << 10 // room for all addresses of a gate
)

// MaxTraits is how many bytes a node's roles and labels may have as JSON, so that no beat has more than 8 KB: each node sends one to all others twice a second.
const MaxTraits = 7 << 10

// beat is what a node tells of itself.
type beat struct {
	V           int               `json:"v"`
	Name        string            `json:"name"`
	Incarnation uint64            `json:"inc"`
	Version     string            `json:"version,omitempty"`
	Started     time.Time         `json:"started"`
	Roles       []string          `json:"roles,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Load        Load              `json:"load"`
	Draining    bool              `json:"draining,omitempty"`
	Held        bool              `json:"held,omitempty"`
	Left        bool              `json:"left,omitempty"`
	Hello       bool              `json:"hello,omitempty"` // asks others to tell of themselves at once
}

func beatOf(m Member, hello bool) beat {
	return beat{
		V: beatVersion, Name: m.Name, Incarnation: m.Incarnation, Version: m.Version, Started: m.Started, Roles: m.Roles, Labels: m.Labels, Load: m.Load,
		Draining: m.Draining, Held: m.Held, Left: m.State == Left, Hello: hello,
	}
}

func (b *beat) member(state State) Member {
	return Member{
		Name: b.Name, Incarnation: b.Incarnation, Version: b.Version, Started: b.Started, Roles: b.Roles, Labels: b.Labels, Load: b.Load,
		Draining: b.Draining, Held: b.Held, State: state,
	}
}

// errBeatVersion is for a beat of a node that speaks another language.
var errBeatVersion = errors.New("its version is not 1")

// parseBeat reads a beat and refuses what is none.
func parseBeat(data []byte) (beat, error) {
	if len(data) > maxBeat {
		return beat{}, fmt.Errorf("%d bytes, expected at most %d", len(data), maxBeat)
	}
	var b beat
	if err := json.Unmarshal(data, &b); err != nil {
		return beat{}, err
	}
	switch {
	case b.V != beatVersion:
		return beat{}, errBeatVersion
	case b.Incarnation == 0:
		return beat{}, errors.New("it has no incarnation")
	case len(b.Version) > maxLabel:
		return beat{}, errors.New("its version is too long")
	}
	if err := CheckName(b.Name); err != nil {
		return beat{}, err
	}
	return b, checkTraits(b.Roles, b.Labels)
}

// checkTraits refuses roles and labels that are too many or too long.
func checkTraits(roles []string, labels map[string]string) error {
	if len(roles) > maxTraits || len(labels) > maxTraits {
		return fmt.Errorf("cluster: %d roles and %d labels, expected at most %d of each", len(roles), len(labels), maxTraits)
	}
	for _, r := range roles {
		if err := CheckName(r); err != nil {
			return fmt.Errorf("cluster: role: %w", err)
		}
	}
	for k, v := range labels {
		if k == "" || len(k) > maxLabel || len(v) > maxLabelText {
			return fmt.Errorf("cluster: label %q: expected a name of at most %d bytes and a value of at most %d", k[:min(len(k), maxLabel)], maxLabel, maxLabelText)
		}
	}
	return nil
}

// CheckTraits refuses what MembersConfig has no room for.
func CheckTraits(roles []string, labels map[string]string) error {
	if err := checkTraits(roles, labels); err != nil {
		return err
	}
	text, err := json.Marshal(beat{Roles: roles, Labels: labels})
	if err != nil {
		return fmt.Errorf("cluster: roles and labels: %w", err)
	}
	empty, err := json.Marshal(beat{})
	if err != nil {
		return fmt.Errorf("cluster: roles and labels: %w", err)
	}
	if n := len(text) - len(empty); n > MaxTraits {
		return fmt.Errorf("cluster: roles and labels have %d bytes as JSON, expected at most %d", n, MaxTraits)
	}
	return nil
}
