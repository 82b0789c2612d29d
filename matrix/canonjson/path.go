package canonjson

import "strings"

// SplitPath cuts a dot-separated path into the names of the properties on the way
// to a value, of which there is at least one. A backslash before a dot or a
// backslash takes its meaning away; before anything else it is itself
// (appendices/#dot-separated-property-paths).
func SplitPath(s string) []string {
	var names []string
	var name strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '.' || s[i+1] == '\\'):
			i++
			name.WriteByte(s[i])
		case s[i] == '.':
			names = append(names, name.String())
			name.Reset()
		default:
			name.WriteByte(s[i])
		}
	}
	return append(names, name.String())
}
