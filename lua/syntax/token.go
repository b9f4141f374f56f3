package syntax

// kind tells tokens apart. A token of one byte is that byte; the others follow behind.
type kind uint16

// The kinds of more than one byte: reserved words, operators, the end, and what has a value. Reserved words are first, in the order of their names.
const (
	kAnd kind = iota + 256
	kBreak
	kDo
	kElse
	kElseif
	kEnd
	kFalse
	kFor
	kFunction
	kGoto
	kIf
	kIn
	kLocal
	kNil
	kNot
	kOr
	kRepeat
	kReturn
	kThen
	kTrue
	kUntil
	kWhile

	kIDiv
	kConcat
	kDots
	kEq
	kGe
	kLe
	kNe
	kShl
	kShr
	kColons
	kEOF

	kFloat
	kInt
	kName
	kString
)

// token is a word of the source.
type token struct {
	kind       kind
	start, end int // its bytes in the source
	pos        Pos // of its first byte
	text       string
	i          int64
	f          float64
}

// words are the kinds of more than one byte as messages show them, from kAnd on.
const words = "and      break    do       else     elseif   end      false    for      function goto     if       in       local    nil      not      " +
	"or       repeat   return   then     true     until    while    //       ..       ...      ==       >=       <=       ~=       <<       >>       " +
	"::       <eof>    <number> <integer><name>   <string> "

// show is how messages call a kind of token: what is literal stands between quotes.
func (k kind) show() string {
	switch {
	case k < 32 || k > 126 && k < kAnd:
		return "'<\\" + itoa(int(k)) + ">'"
	case k < kAnd:
		return "'" + string(rune(k)) + "'"
	}
	const width = 9
	at := int(k-kAnd) * width
	word := words[at : at+width]
	for word[len(word)-1] == ' ' {
		word = word[:len(word)-1]
	}
	if k < kEOF {
		return "'" + word + "'"
	}
	return word
}

// reserved is the kind of a word: kName unless it is reserved.
func reserved(word string) kind {
	if len(word) < 2 || len(word) > 8 || word[0] < 'a' || word[0] > 'w' {
		return kName
	}
	switch word {
	case "and":
		return kAnd
	case "break":
		return kBreak
	case "do":
		return kDo
	case "else":
		return kElse
	case "elseif":
		return kElseif
	case "end":
		return kEnd
	case "false":
		return kFalse
	case "for":
		return kFor
	case "function":
		return kFunction
	case "goto":
		return kGoto
	case "if":
		return kIf
	case "in":
		return kIn
	case "local":
		return kLocal
	case "nil":
		return kNil
	case "not":
		return kNot
	case "or":
		return kOr
	case "repeat":
		return kRepeat
	case "return":
		return kReturn
	case "then":
		return kThen
	case "true":
		return kTrue
	case "until":
		return kUntil
	case "while":
		return kWhile
	}
	return kName
}
