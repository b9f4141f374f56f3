package sharedata

// Recompile reads a compiled table and compiles that.
func Recompile(text string, limit int) ([]byte, error) {
	t, err := decode(text, limit)
	if err != nil {
		return nil, err
	}
	return encode(t), nil
}
