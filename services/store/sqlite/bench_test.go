package sqlite_test

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkCommit: how many commits a second, each of one document of 3 KB and durable on return, do so many writers
// get who each wait for theirs?
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 16, 100} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			db := open(b, b.TempDir())
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					for version := range int64(b.N/writers + 1) {
						if err := apply(db, fmt.Sprint("w", w), version); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
