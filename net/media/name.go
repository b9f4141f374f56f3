package media

// NameForm says in words what ValidName tells.
const NameForm = "a letter or a digit, then up to 63 letters, digits, - and _"

// ValidName tells whether a room may be called so, or who is in it where a protocol tells others: names stand in URLs, in files and in logs.
func ValidName(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '-' || s[0] == '_' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
