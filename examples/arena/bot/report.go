package bot

import "time"

// Report is what a run has seen.
type Report struct {
	Clients  int           // that were in
	Played   time.Duration // from when all were in until they stopped
	Requests uint64
	Answers  uint64
	Pushes   uint64
	Latency  Latency // of requests
	Connect  Latency // until the handshake was done
	Login    Latency
	// Resumes are connections that were lost and made good. Relogins are sessions that were lost, whose players were in again by their tokens. Back is how long either took.
	Resumes  uint64
	Relogins uint64
	Back     Latency
	Players  []PlayerReport
	// Errors are what the node did wrong, at most MaxErrors of ErrorCount; Kinds counts them: wrong (what no order of events explains), answer (another than
	// expected), answer:CODE and kick:CODE, timeout, connection, session_lost, silent, protocol, overload, other.
	Errors     []string
	ErrorCount int
	Kinds      map[string]int
	// Lost are connections that ended, with why; what was asked on them and not answered is no error of its own.
	Lost []string
	// Strangers is how many players came into view who are not of this run. The final comparison can't say anything about them.
	Strangers int

	meters *meters
}

// MaxErrors is how many errors a Report keeps.
const MaxErrors = 100

// Failed says whether anything went wrong, lost connections included.
func (r *Report) Failed() bool { return r.ErrorCount > 0 || len(r.Lost) > 0 }

// PlayerReport is what a player has been told of their own state.
type PlayerReport struct {
	Target   Target
	Name, ID string
	// Saved is the answer to the last `save`: position and steps that are durable.
	Saved Saved
	// Coins is the highest number in an answer. Each answer that shows a coin says that it is durable.
	Coins int64
	// Steps are the answered positions, oldest first, at most MaxSteps. The first was given by `enter`.
	Steps []Step
	// Unanswered is how many steps were under way when the connection was lost or the run was cancelled: they may have been made, and each may have
	// found a coin.
	Unanswered int
}

// Saved is a state that the node has promised to keep.
type Saved struct {
	X, Y     int
	N, Coins int64
	At       time.Time // when the promise came; zero: none
}

// Step is an answered position.
type Step struct {
	N    int64 // steps in all
	X, Y int
	At   time.Time // when the answer came
}

// MaxSteps is how many steps are kept a player.
const MaxSteps = 4096
