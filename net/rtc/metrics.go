package rtc

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what a server does. One Metrics is for one server.
type Metrics struct {
	sessions        *prometheus.GaugeVec
	ends, refused   *prometheus.CounterVec
	received, sent  prometheus.Counter
	receivedBytes   prometheus.Counter
	sentBytes       prometheus.Counter
	again           prometheus.Counter
	failed          prometheus.Counter
	skipped         prometheus.Counter
	unsupported     prometheus.Counter
	invalid         prometheus.Counter
	unagreed        prometheus.Counter
	keysAsked       prometheus.Counter
	messagesDropped prometheus.Counter
	disordered      prometheus.Counter
}

// NewMetrics makes them.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "skua", Subsystem: "webrtc", Name: name, Help: help})
	}
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "skua", Subsystem: "webrtc", Name: name, Help: help}
	}
	return &Metrics{
		sessions:        prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("sessions", "Publishers and viewers that were admitted and have not left.")), []string{"direction"}),
		ends:            prometheus.NewCounterVec(prometheus.CounterOpts(opts("sessions_ended_total", "Sessions that have ended, by reason.")), []string{"direction", "reason"}),
		refused:         prometheus.NewCounterVec(prometheus.CounterOpts(opts("refused_total", "Requests that were not admitted, by HTTP status.")), []string{"direction", "status"}),
		received:        counter("packets_received_total", "RTP packets from publishers."),
		sent:            counter("packets_sent_total", "RTP packets to viewers."),
		receivedBytes:   counter("received_bytes_total", "Bytes of RTP from publishers."),
		sentBytes:       counter("sent_bytes_total", "Bytes of RTP to viewers, encrypted."),
		again:           counter("packets_resent_total", "Packets that viewers asked for again and got from the cache of the track."),
		failed:          counter("packets_failed_total", "Packets that could not be written to a viewer, whose connection is about to end."),
		skipped:         counter("viewer_skips_total", "Times that a viewer's line was so far behind that it went on with the newest key frame."),
		unsupported:     counter("unsupported_total", "Times that a viewer was to get a track in a codec that it has not got."),
		invalid:         counter("invalid_packets_total", "RTP and RTCP packets that could not be read."),
		unagreed:        counter("packets_unagreed_total", "RTP packets that were left out, since their payload type is none that their publisher has agreed upon for such a track."),
		keysAsked:       counter("key_frames_asked_total", "Key frames that publishers were asked for."),
		disordered:      counter("b_frames_left_out_total", "Pictures of streams that came by other protocols and that viewers did not get, since WebRTC can't show them in their order."),
		messagesDropped: counter("messages_dropped_total", "Messages on data channels that were too large, too many, or for a client that is too slow."),
	}
}

// ended has the reasons of the server itself as they are. Those of the rules are words for people, of any number.
func (m *Metrics) ended(d Direction, reason string) {
	switch reason {
	case ReasonLeft, ReasonSilent, ReasonNever, ReasonReplaced, ReasonStopping:
	default:
		reason = "kicked"
	}
	m.sessions.WithLabelValues(string(d)).Dec()
	m.ends.WithLabelValues(string(d), reason).Inc()
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.sessions, m.ends, m.refused, m.received, m.sent, m.receivedBytes, m.sentBytes, m.again, m.failed, m.skipped, m.unsupported, m.invalid, m.unagreed, m.keysAsked, m.messagesDropped, m.disordered,
	}
}

// Describe and Collect make it a prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect gives the counts.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}
