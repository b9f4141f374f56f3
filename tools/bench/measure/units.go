package measure

import (
	"context"
	"time"
)

// PerSecond makes operations a second of nanoseconds an operation.
func PerSecond(nanoseconds Func) Func {
	return func(ctx context.Context) (float64, error) {
		ns, err := nanoseconds(ctx)
		if err != nil {
			return 0, err
		}
		return float64(time.Second) / ns, nil
	}
}

// Microseconds makes microseconds of nanoseconds.
func Microseconds(nanoseconds Func) Func {
	return func(ctx context.Context) (float64, error) {
		ns, err := nanoseconds(ctx)
		return ns / 1000, err
	}
}
