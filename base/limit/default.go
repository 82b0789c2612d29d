package limit

import "time"

// Default are the rates of a server that strangers can reach. They are far
// above what people do and far below what guessing and flooding need. Buckets
// are counted per user, or per address where nobody is logged in yet.
func Default() map[string]Rate {
	return map[string]Rate{
		// Accounts.
		"login":                {Every: time.Second, Burst: 30},
		"login_failed_account": {Every: 20 * time.Second, Burst: 10},
		"login_failed_address": {Every: 5 * time.Second, Burst: 30},
		"register":             {Every: 5 * time.Second, Burst: 20},
		"registration_token":   {Every: 5 * time.Second, Burst: 10},
		"refresh":              {Every: time.Second, Burst: 60},
		"mail_address":         {Every: 5 * time.Minute, Burst: 5},
		"login_token":          {Every: 20 * time.Second, Burst: 5},
		"account":              {Every: time.Second, Burst: 30},
		"profile":              {Every: time.Second, Burst: 30},
		"profile_lookup":       {Every: 20 * time.Millisecond, Burst: 500},
		"admin_register":       {Every: 200 * time.Millisecond, Burst: 100},
		"rendezvous_new":       {Every: 5 * time.Second, Burst: 20},
		"rendezvous":           {Every: 50 * time.Millisecond, Burst: 200},
		"turn":                 {Every: time.Second, Burst: 30},

		// Rooms.
		"send":      {Every: 100 * time.Millisecond, Burst: 100},
		"create":    {Every: 5 * time.Second, Burst: 20},
		"join":      {Every: time.Second, Burst: 30},
		"invite":    {Every: time.Second, Burst: 50},
		"knock":     {Every: 5 * time.Second, Burst: 10},
		"typing":    {Every: 200 * time.Millisecond, Burst: 50},
		"receipts":  {Every: 50 * time.Millisecond, Burst: 200},
		"presence":  {Every: time.Second, Burst: 20},
		"directory": {Every: 200 * time.Millisecond, Burst: 50},
		"search":    {Every: 200 * time.Millisecond, Burst: 30},

		// Many who are in calls behind one address keep their memberships alive.
		"delayed": {Every: 10 * time.Millisecond, Burst: 500},

		// Account data, tags, filters and push rules. A client may bring all of
		// them along when it is new.
		"pushers":  {Every: time.Second, Burst: 30},
		"personal": {Every: 100 * time.Millisecond, Burst: 200},

		// Keys and messages between devices. A client that sends to a large room
		// claims a key of everybody there.
		"report":  {Every: 2 * time.Second, Burst: 30},
		"openid":  {Every: 100 * time.Millisecond, Burst: 100},
		"upload":  {Every: 200 * time.Millisecond, Burst: 100},
		"preview": {Every: 500 * time.Millisecond, Burst: 60},

		// Files that other servers are asked for.
		"remote_media": {Every: 50 * time.Millisecond, Burst: 300},
		// Requests of other servers, by address.
		"federation": {Every: 5 * time.Millisecond, Burst: 1000},

		"keys":      {Every: 50 * time.Millisecond, Burst: 300},
		"keys_read": {Every: 20 * time.Millisecond, Burst: 500},
		"to_device": {Every: 20 * time.Millisecond, Burst: 500},
	}
}
