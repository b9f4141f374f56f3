package std

// The classes of characters of patterns, as C has them for ASCII. Each is a bit.
const (
	letter = 1 << iota
	digit
	lowerCase
	space
	upperCase
	hex
	punct
	control
)

var classes = func() (t [256]uint8) { //nolint:gochecknoglobals // a constant
	for i := range 0x80 {
		c := byte(i)
		switch {
		case c >= 'a' && c <= 'z':
			t[i] = letter | lowerCase
		case c >= 'A' && c <= 'Z':
			t[i] = letter | upperCase
		case c >= '0' && c <= '9':
			t[i] = digit
		case c < ' ' || c == 0x7f:
			t[i] = control
		case c != ' ':
			t[i] = punct
		}
		if c == ' ' || c >= '\t' && c <= '\r' {
			t[i] |= space
		}
		if _, ok := hexDigit(c); ok {
			t[i] |= hex
		}
	}
	return t
}()

// classOf are the bits of a class that a letter names, 0 if it names none.
func classOf(name byte) uint8 {
	switch name | 0x20 {
	case 'a':
		return letter
	case 'c':
		return control
	case 'd':
		return digit
	case 'g':
		return letter | digit | punct
	case 'l':
		return lowerCase
	case 'p':
		return punct
	case 's':
		return space
	case 'u':
		return upperCase
	case 'w':
		return letter | digit
	case 'x':
		return hex
	}
	return 0
}

// inClass tells whether c is what %name stands for.
func inClass(c, name byte) bool {
	if classes[name]&letter == 0 {
		return c == name
	}
	if name|0x20 == 'z' { // the byte 0, which patterns of Lua 5.1 could not hold
		return (c == 0) == (name == 'z')
	}
	bits := classOf(name)
	if bits == 0 {
		return c == name
	}
	return (classes[c]&bits != 0) == (name >= 'a')
}
