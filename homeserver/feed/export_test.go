package feed

// Parked reports whether a request of the user waits for news.
func (f *Feed) Parked(user string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.users[user]
	return u != nil && u.listener.Waiting()
}

const MaxCrowd = maxCrowd
