package media

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/base/netguard"
	"hearth/matrix/mxerr"

	"golang.org/x/net/html"
	"golang.org/x/sync/errgroup"
)

// TestWhatAPageSaysIsBounded: a page can make the server keep little, however
// much it says of itself.
func TestWhatAPageSaysIsBounded(t *testing.T) {
	var page strings.Builder
	for i := range 200 {
		fmt.Fprintf(&page, `<meta property="og:x%d%s" content="%s">`, i, strings.Repeat("n", 2000), strings.Repeat("v", 5000))
	}
	for i := range 200 {
		fmt.Fprintf(&page, `<meta property="og:x%d" content="%s">`, i, strings.Repeat("ü", 5000))
	}
	og := openGraph(html.NewTokenizer(strings.NewReader(page.String())))
	size := 0
	for name, value := range og {
		size += len(name) + len(value.(string))
	}
	if len(og) > maxPreviewMembers || size > maxPreviewMembers*(2*maxPreviewText+maxPreviewName) {
		t.Errorf("%d members of %d bytes are kept", len(og), size)
	}
	if og["og:x7"] == nil {
		t.Error("names that are too long keep others out")
	}
}

// TestPreviewsAreBounded: in pages that are remembered, in what is read of one,
// and in how far the server is sent around.
func TestPreviewsAreBounded(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/hops/"))
		switch {
		case r.URL.Path == "/long":
			_, _ = io.WriteString(w, "<title>head</title>"+strings.Repeat("<p>blah", maxPage/7)+`<meta property="og:title" content="foot">`)
		case err == nil && n > 0:
			http.Redirect(w, r, "/hops/"+strconv.Itoa(n-1), http.StatusFound)
		default:
			_, _ = io.WriteString(w, "<title>here</title>")
		}
	}))
	defer site.Close()
	local := netip.MustParseAddr("127.0.0.1")
	p := NewPreviews(nil, netguard.Ranges{{From: local, To: local}}, slog.New(slog.DiscardHandler))
	want := func(path, title string) {
		t.Helper()
		og, err := p.Look(t.Context(), site.URL+path)
		if title == "" && (err == nil || mxerr.From(err).Code != mxerr.NotFound) || title != "" && string(og) != `{"og:title":"`+title+`"}` {
			t.Errorf("%s: %s, %v", path, og, err)
		}
	}
	want("/long", "head") // and not what comes after a megabyte
	want(fmt.Sprint("/hops/", maxRedirects), "here")
	want(fmt.Sprint("/hops/", maxRedirects+1), "")
	for i := len(p.pages); i < maxPreviews; i++ {
		p.pages[fmt.Sprint(i)] = preview{at: time.Now()}
	}
	want("/", "here")
	if len(p.pages) > maxPreviews {
		t.Errorf("%d pages are remembered", len(p.pages))
	}
	if _, err := p.Look(t.Context(), site.URL+"/"+strings.Repeat("x", 5000)); err == nil || mxerr.From(err).Code != mxerr.InvalidParam {
		t.Errorf("a very long address: %v", err)
	}
}

// TestFewPagesAtATime: however many links people send, the server looks at some
// pages at a time.
func TestFewPagesAtATime(t *testing.T) {
	var now, most atomic.Int32
	full, once := make(chan struct{}), sync.Once{}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		most.Store(max(most.Load(), n))
		if n == maxPreviewTasks {
			once.Do(func() { close(full) })
		}
		<-full
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<title>here</title>")
	}))
	defer site.Close()
	local := netip.MustParseAddr("127.0.0.1")
	p := NewPreviews(nil, netguard.Ranges{{From: local, To: local}}, slog.New(slog.DiscardHandler))
	var looking errgroup.Group
	for i := range 2 * maxPreviewTasks {
		looking.Go(func() error {
			if i >= maxPreviewTasks {
				<-full
			}
			_, err := p.Look(t.Context(), fmt.Sprint(site.URL, "/", i))
			return err
		})
	}
	if err := looking.Wait(); err != nil || most.Load() != maxPreviewTasks || cap(p.tasks) != maxPreviewTasks {
		t.Errorf("%d pages were looked at at a time, %v", most.Load(), err)
	}
}
