package cluster

// What only tests need of the inside.
var (
	StopServer     = stopServer
	ErrServerStuck = errServerStuck
)
