package lint

import "iter"

// nearest is the name that is most like the wrong one, "" if none is much like it.
func nearest(wrong string, names iter.Seq[string]) string {
	most := (len(wrong) + 1) / 4
	if len(wrong) > 2 {
		most = max(1, most)
	}
	best, found := most+1, ""
	for name := range names {
		if name == wrong {
			continue // a local that is declared later
		}
		if d := distance(wrong, name, best+1); d < best || d == best && d <= most && name < found {
			best, found = d, name
		}
	}
	return found
}

// maxName bounds the names that are compared: a longer one is no slip of a finger.
const maxName = 64

// distance is how many letters have to be changed, added, left out or swapped with their neighbour to make a into b, or most if it is not less (Damerau and
// Levenshtein, without changes inside of swapped pairs).
func distance(a, b string, most int) int {
	if len(a) > maxName || len(b) > maxName || len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	var rows [3][maxName + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], most)
}
