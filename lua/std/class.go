package std

// charset is a set of bytes: bit i is byte i.
type charset [4]uint64

func (s *charset) has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }
func (s *charset) add(c byte)      { s[c>>6] |= 1 << (c & 63) }

// addSet adds all of another set.
func (s *charset) addSet(other *charset) {
	for i := range s {
		s[i] |= other[i]
	}
}

// invert makes it the set of all other bytes.
func (s *charset) invert() {
	for i := range s {
		s[i] = ^s[i]
	}
}

// classes are what % and a character stand for in a pattern, by the character: those of C for ASCII, else the character itself.
var classes = makeClasses() //nolint:gochecknoglobals // a constant

func makeClasses() *[256]charset {
	in := map[byte]func(c byte) bool{
		'a': isLetter,
		'c': func(c byte) bool { return c < ' ' || c == 0x7f },
		'd': isDigit,
		'g': isGraphic,
		'l': func(c byte) bool { return c >= 'a' && c <= 'z' },
		'p': func(c byte) bool { return isGraphic(c) && !isLetter(c) && !isDigit(c) },
		's': func(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' },
		'u': func(c byte) bool { return c >= 'A' && c <= 'Z' },
		'w': func(c byte) bool { return isLetter(c) || isDigit(c) },
		'x': func(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' },
		'z': func(c byte) bool { return c == 0 }, // which patterns of Lua 5.1 could not hold
	}
	var sets [256]charset
	for name := range sets {
		is, isClass := in[byte(name)|0x20]
		if !isClass || !isLetter(byte(name)) {
			sets[name].add(byte(name))
			continue
		}
		for c := range 256 {
			if is(byte(c)) {
				sets[name].add(byte(c))
			}
		}
		if name < 'a' {
			sets[name].invert()
		}
	}
	return &sets
}

func isLetter(c byte) bool  { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool   { return c >= '0' && c <= '9' }
func isGraphic(c byte) bool { return c > ' ' && c < 0x7f }
