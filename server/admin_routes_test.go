package server_test

import (
	_ "embed"
	"strings"
	"testing"
)

//go:embed testdata/admin_operations.tsv
var adminOperationsTSV string

// elsewhere are operations of admin tools that need no route of their own, with
// the reason.
var elsewhere = map[string]string{
	"PUT /_matrix/client/v3/user/{adminUserId}/account_data/io.element.synapse.admin_client_config": "plain account data: any type is served",
	"GET /_synapse/ess/version": "Element's paid suite asks for its own version; Element Admin takes 404 for 'this is another server'",
}

// TestEveryAdminOperationHasARoute holds the route table against the list of what
// admin tools and moderation bots call of Synapse's admin API: priority A is what
// some tool needs, B what merely exists. The second admin API, that of Synapse's
// authentication service, is not on it: it comes with logins by OAuth.
func TestEveryAdminOperationHasARoute(t *testing.T) {
	served := map[string]bool{}
	for _, route := range newHouse(t, "", nil).server.Routes() {
		for _, pattern := range route.Patterns() {
			served[shape(pattern)] = true
		}
	}
	// Routes that two operations share, for net/http cannot tell them apart.
	overlaps := map[string]string{
		"GET /_synapse/admin/v2/rooms/delete_status/{delete_id}": "GET /_synapse/admin/v2/rooms/{}/{}",
		"GET /_synapse/admin/v2/rooms/{room_id}/delete_status":   "GET /_synapse/admin/v2/rooms/{}/{}",
		"POST /_synapse/admin/v1/media/protect/{media_id}":       "POST /_synapse/admin/v1/media/{}/{}",
		"POST /_synapse/admin/v1/media/unprotect/{media_id}":     "POST /_synapse/admin/v1/media/{}/{}",
		"POST /_synapse/admin/v1/media/{server_name}/delete":     "POST /_synapse/admin/v1/media/{}/{}",
	}
	lines := strings.Split(strings.TrimSpace(adminOperationsTSV), "\n")
	if len(lines) < 100 {
		t.Fatalf("the list has %d operations", len(lines))
	}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		if len(f) != 3 {
			t.Fatalf("%q: want three columns", line)
		}
		name := f[1] + " " + f[2]
		want := shape(name)
		if shared := overlaps[name]; shared != "" {
			want = shared
		}
		if !served[want] && elsewhere[name] == "" {
			t.Errorf("priority %s: no route for %s", f[0], name)
		}
	}
}
