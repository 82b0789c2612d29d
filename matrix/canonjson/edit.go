package canonjson

// Without appends the canonical object obj to dst, less the members called keys.
// dst may be obj[:0]: the result is never ahead of what is still to be read.
func Without(dst, obj []byte, keys ...string) []byte {
	dst = append(dst, '{')
	start := len(dst)
	Each(obj, func(k, v []byte) bool {
		for _, name := range keys {
			if KeyIs(k, name) {
				return true
			}
		}
		dst = AppendMember(dst, start, k, v)
		return true
	})
	return append(dst, '}')
}

// With appends the canonical object obj to dst, where the member key has the
// canonical value val: replaced, or put in its place if there was none.
func With(dst, obj []byte, key string, val []byte) []byte {
	quoted := Quote(nil, key)
	name := quoted[1 : len(quoted)-1]
	dst = append(dst, '{')
	start, done := len(dst), false
	Each(obj, func(k, v []byte) bool {
		c := compareKeys(k, name)
		if !done && c >= 0 {
			dst = AppendMember(dst, start, name, val)
			done = true
		}
		if c != 0 {
			dst = AppendMember(dst, start, k, v)
		}
		return true
	})
	if !done {
		dst = AppendMember(dst, start, name, val)
	}
	return append(dst, '}')
}

// AppendMember appends a member to the object in dst whose inside begins at
// start, that is after the brace. key is as Each gives it, and val is canonical.
func AppendMember(dst []byte, start int, key, val []byte) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return append(dst, val...)
}
