package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"hearth/base/contain"
	"hearth/base/netguard"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
	"golang.org/x/sync/singleflight"
)

const (
	previewTimeout  = 10 * time.Second
	maxPage         = 1 << 20  // bytes of a page that are looked at
	maxPreviewImage = 10 << 20 // bytes
	maxRedirects    = 5
	maxPreviews     = 1000      // pages that are remembered
	maxPreviewTasks = 8         // pages that are looked at at a time
	keepPreview     = time.Hour // how long a page is taken for unchanged
	maxPreviewText  = 1000      // characters of a description

	maxPreviewMembers = 50  // of what a page says of itself
	maxPreviewName    = 100 // bytes of the name of one
	previewUserAgent  = "Hearth (URL preview bot)"
)

// Previews looks at web pages that people talk about
// (client-server-api/#get_matrixclientv1mediapreview_url).
type Previews struct {
	files  *Engine
	http   *http.Client
	tasks  chan struct{}
	flight singleflight.Group
	log    *slog.Logger

	mu    sync.Mutex
	pages map[string]preview
}

// preview is what a page says of itself.
type preview struct {
	at   time.Time
	data json.RawMessage
	err  error
}

// NewPreviews returns Previews that keep pictures in files. Addresses that are
// private, or of this machine, are never asked, wherever a page leads, but for
// those in allowed.
func NewPreviews(files *Engine, allowed netguard.Ranges, log *slog.Logger) *Previews {
	dialer := &net.Dialer{Timeout: previewTimeout, Control: netguard.Control(allowed)}
	return &Previews{
		files: files, tasks: make(chan struct{}, maxPreviewTasks), pages: map[string]preview{}, log: log,
		http: &http.Client{
			Timeout: previewTimeout,
			Transport: &http.Transport{
				DialContext: dialer.DialContext, TLSHandshakeTimeout: previewTimeout, MaxIdleConns: 16, IdleConnTimeout: 30 * time.Second,
				MaxResponseHeaderBytes: 64 << 10,
			},
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) > maxRedirects {
					return errors.New("too many redirects")
				}
				return webURL(r.URL)
			},
		},
	}
}

// webURL refuses addresses that are not of the web.
func webURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return mxerr.New(mxerr.InvalidParam, "A preview needs an http or https URL without a user name")
	}
	return nil
}

// Look returns what a page says of itself as OpenGraph members. Errors:
// M_INVALID_PARAM for what is no URL, M_NOT_FOUND for what cannot be had.
func (p *Previews) Look(ctx context.Context, text string) (json.RawMessage, error) {
	u, err := url.Parse(text)
	if err != nil || len(text) > 4096 {
		return nil, mxerr.New(mxerr.InvalidParam, "url is not a URL")
	}
	if err := webURL(u); err != nil {
		return nil, err
	}
	u.Fragment = ""
	key := u.String()
	p.mu.Lock()
	known, ok := p.pages[key]
	p.mu.Unlock()
	if ok && time.Since(known.at) < keepPreview {
		return known.data, known.err
	}
	// Who asks first may go away: others wait for the same page.
	ch := p.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*previewTimeout)
		defer cancel()
		return contain.Value(func() (preview, error) { return p.look(ctx, key), nil })
	})
	select {
	case res := <-ch:
		if res.Err != nil {
			return nil, res.Err
		}
		found := res.Val.(preview)
		return found.data, found.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *Previews) look(ctx context.Context, page string) preview {
	select {
	case p.tasks <- struct{}{}:
		defer func() { <-p.tasks }()
	case <-ctx.Done():
		return preview{err: mxerr.New(mxerr.LimitExceeded, "Too many pages are looked at: try again")}
	}
	found := preview{at: time.Now()}
	og, err := p.read(ctx, page)
	if err == nil {
		found.data, err = json.Marshal(og)
	}
	if err != nil {
		p.log.DebugContext(ctx, "a page cannot be previewed", "err", err)
		found.err = mxerr.New(mxerr.NotFound, "The page cannot be previewed")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pages) >= maxPreviews {
		clear(p.pages)
	}
	p.pages[page] = found
	return found
}

// get asks for a page or a picture.
func (p *Previews) get(ctx context.Context, link string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", previewUserAgent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,image/*;q=0.8,*/*;q=0.5")
	res, err := p.http.Do(req)
	if err == nil && res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		err = fmt.Errorf("the server answers %s", res.Status)
	}
	return res, err
}

func (p *Previews) read(ctx context.Context, page string) (map[string]any, error) {
	res, err := p.get(ctx, page)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	typ, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")) // "" for nonsense
	switch {
	case strings.HasPrefix(typ, "image/"):
		return p.picture(ctx, map[string]any{}, res)
	case typ != "text/html" && typ != "application/xhtml+xml":
		return nil, fmt.Errorf("%q cannot be previewed", typ)
	}
	body, err := charset.NewReader(io.LimitReader(res.Body, maxPage), res.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	og := openGraph(html.NewTokenizer(body))
	image, _ := og["og:image"].(string)
	delete(og, "og:image")
	link, err := res.Request.URL.Parse(image)
	if image == "" || err != nil || webURL(link) != nil {
		return og, nil
	}
	picture, err := p.get(ctx, link.String())
	if err != nil {
		return og, nil // the text is worth something alone
	}
	defer picture.Body.Close()
	if with, err := p.picture(ctx, og, picture); err == nil {
		og = with
	}
	return og, nil
}

// picture keeps a picture and adds it to what is known of a page.
func (p *Previews) picture(ctx context.Context, og map[string]any, res *http.Response) (map[string]any, error) {
	typ, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(typ, "image/") {
		return og, errNoPicture()
	}
	body := http.MaxBytesReader(nil, res.Body, maxPreviewImage)
	m := store.Media{Origin: string(p.files.Server), ID: mxid.RandomString(24), Created: time.Now().UnixMilli()}
	if err := p.files.add(ctx, Upload{Type: typ, Content: body}, m); err != nil {
		return og, err
	}
	f, err := p.files.Open(ctx, Want{Origin: m.Origin, ID: m.ID})
	if err != nil {
		return og, err
	}
	defer f.Content.Close()
	og["og:image"] = "mxc://" + m.Origin + "/" + m.ID
	og["og:image:type"], og["matrix:image:size"] = typ, f.Size
	if w, h, ok := dimensions(f.Content); ok {
		og["og:image:width"], og["og:image:height"] = w, h
	}
	return og, nil
}

// openGraph takes the OpenGraph members out of a page, and what stands in for
// those that are missing.
func openGraph(t *html.Tokenizer) map[string]any {
	og := map[string]any{}
	set := func(name, value string) {
		value = strings.Join(strings.Fields(value), " ")
		if r := []rune(value); len(r) > maxPreviewText {
			value = string(r[:maxPreviewText]) + "…"
		}
		if _, ok := og[name]; !ok && value != "" && len(name) <= maxPreviewName && len(og) < maxPreviewMembers {
			og[name] = value
		}
	}
	var title, description, firstImage string
	for {
		kind := t.Next()
		if kind == html.ErrorToken {
			break
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		tag := t.Token()
		attr := map[string]string{}
		for _, a := range tag.Attr {
			attr[a.Key] = a.Val
		}
		switch tag.Data {
		case "meta":
			switch name := attr["property"]; {
			case strings.HasPrefix(name, "og:"), strings.HasPrefix(name, "article:"):
				set(name, attr["content"])
			case attr["name"] == "description":
				description = attr["content"]
			}
		case "title":
			if t.Next() == html.TextToken && title == "" {
				title = t.Token().Data
			}
		case "img":
			if firstImage == "" {
				firstImage = attr["src"]
			}
		}
	}
	set("og:title", title)
	set("og:description", description)
	set("og:image", firstImage)
	return og
}
