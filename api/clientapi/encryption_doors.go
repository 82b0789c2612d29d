package clientapi

import (
	"slices"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/feed"
)

// Encryption are the doors to keys, messages between devices, and backups of
// keys.
type Encryption struct {
	Keys     *e2ee.Engine
	Feed     *feed.Feed
	Accounts *account.Engine
}

// Routes are the routes of all files of Encryption.
func (a *Encryption) Routes() []httpx.Route {
	return slices.Concat(a.keysRoutes(), a.crossSigningRoutes(), a.toDeviceRoutes(), a.keyBackupRoutes(), a.dehydratedRoutes())
}

// bigBody bounds bodies with many keys in them.
const bigBody = 16 << 20
