package store

// UsersQuery is what ListUsers asks.
func UsersQuery(f UserFilter) (query string, args []any) { return f.query() }
