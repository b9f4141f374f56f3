package bot

import (
	"maps"
	"time"
)

// Part is a report on its way to another process: all of it but Players.
type Part struct {
	Clients    int            `json:"clients"`
	Played     time.Duration  `json:"played"`
	Requests   uint64         `json:"requests"`
	Answers    uint64         `json:"answers"`
	Pushes     uint64         `json:"pushes"`
	Resumes    uint64         `json:"resumes"`
	Relogins   uint64         `json:"relogins"`
	Errors     []string       `json:"errors,omitempty"`
	ErrorCount int            `json:"error_count"`
	Kinds      map[string]int `json:"kinds,omitempty"`
	Lost       []string       `json:"lost,omitempty"`
	Strangers  int            `json:"strangers"`
	// Histograms are those of requests, connects, logins and ways back, in HdrHistogram's compressed form.
	Histograms [4][]byte `json:"histograms"`
}

func (m *meters) all() [4]*histogram {
	return [4]*histogram{m.request, m.connect, m.login, m.back}
}

// Part makes a report ready for another process. It works for reports of Run and Merge.
func (r *Report) Part() (Part, error) {
	p := Part{
		Clients: r.Clients, Played: r.Played, Requests: r.Requests, Answers: r.Answers, Pushes: r.Pushes, Resumes: r.Resumes, Relogins: r.Relogins,
		Errors: r.Errors, ErrorCount: r.ErrorCount, Kinds: r.Kinds, Lost: r.Lost, Strangers: r.Strangers,
	}
	if r.meters == nil {
		return p, nil // a report of nobody
	}
	for i, h := range r.meters.all() {
		var err error
		if p.Histograms[i], err = h.encode(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// Merge puts the reports of several processes together. The percentiles are those of all requests, not means of percentiles.
func Merge(parts []Part) (*Report, error) {
	m := newMeters()
	r := &Report{Kinds: map[string]int{}, meters: m}
	for _, p := range parts {
		r.Clients += p.Clients
		r.Played = max(r.Played, p.Played)
		r.Requests += p.Requests
		r.Answers += p.Answers
		r.Pushes += p.Pushes
		r.Resumes += p.Resumes
		r.Relogins += p.Relogins
		r.ErrorCount += p.ErrorCount
		r.Errors = append(r.Errors, p.Errors[:min(len(p.Errors), MaxErrors-len(r.Errors))]...)
		r.Lost = append(r.Lost, p.Lost...)
		r.Strangers = max(r.Strangers, p.Strangers)
		for kind, n := range maps.All(p.Kinds) {
			r.Kinds[kind] += n
		}
		for i, h := range m.all() {
			if len(p.Histograms[i]) == 0 {
				continue
			}
			if err := h.merge(p.Histograms[i]); err != nil {
				return nil, err
			}
		}
	}
	r.Latency, r.Connect, r.Login, r.Back = m.request.latency(), m.connect.latency(), m.login.latency(), m.back.latency()
	return r, nil
}
