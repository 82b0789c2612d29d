//go:build proxies

// Package packaging holds what an operator copies. Its test runs the reverse
// proxies with the files beside it:
//
//	go test -tags proxies ./docs/packaging -v
//
// It needs nginx, caddy and traefik; those that are missing are named and
// skipped. The tag keeps it out of the ordinary tests, which do not install them.
package packaging

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// longPoll is longer than the default time-outs of proxies, which are 60 s.
const longPoll = 65 * time.Second

// upload is the largest that Hearth takes by default.
const upload = 100_000_000

// seen is a request as it reaches Hearth's place.
type seen struct {
	uri, host, forwardedFor, proto, auth string
	body                                 int64
}

// backend stands where Hearth listens.
func backend(t *testing.T) (addr string, requests chan seen) {
	requests = make(chan seen, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/probe":
			return
		case "/wait":
			select {
			case <-time.After(longPoll):
			case <-r.Context().Done():
				return
			}
		case "/stream":
			_, _ = io.WriteString(w, "first")
			w.(http.Flusher).Flush()
			<-r.Context().Done() // the rest never comes
			return
		}
		requests <- seen{
			r.RequestURI, r.Host, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"),
			r.Header.Get("Authorization"), n,
		}
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), requests
}

// proxy is one program with the file that the operator copies.
type proxy struct {
	name    string
	version []string
	start   func(t *testing.T, dir, http, https, backend string) *exec.Cmd
}

func TestProxies(t *testing.T) {
	for _, p := range []proxy{
		{"nginx", []string{"nginx", "-v"}, startNginx},
		{"caddy", []string{"caddy", "version"}, startCaddy},
		{"traefik", []string{"traefik", "version"}, startTraefik},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(p.name); err != nil {
				t.Skipf("%s is not installed", p.name)
			}
			version, _ := exec.Command(p.version[0], p.version[1:]...).CombinedOutput()
			t.Logf("%s", bytes.TrimSpace(version))
			behind(t, p)
		})
	}
}

func behind(t *testing.T, p proxy) {
	addr, requests := backend(t)
	dir := t.TempDir()
	httpPort, httpsPort := freePort(t), freePort(t)
	cmd := p.start(t, dir, httpPort, httpsPort, addr)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s", log.Bytes())
		}
	})
	waitFor(t, httpsPort)
	client := clientOf(httpsPort)
	const base = "https://matrix.example.com"

	for _, uri := range []string{
		"/_matrix/client/v3/directory/room/%23room%3Aexample.com",
		"/_matrix/client/v3/rooms/!a%2Fb:example.com/state/m.x/a%20b%25c%3Fd%3Be?x=%2B&y=a+b",
		"/_matrix/client/v3/rooms/!r:example.com/state/m.room.name/",
		"/_matrix/client/v3/profile/@caf%C3%A9:example.com",
	} {
		req, err := http.NewRequest(http.MethodGet, base+uri, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "203.0.113.99") // a lie
		req.Header.Set("Authorization", "Bearer token")
		do(t, client, req, http.StatusOK)
		want := seen{uri, "matrix.example.com", "127.0.0.1", "https", "Bearer token", 0}
		if got := <-requests; got != want {
			t.Errorf("\ngot  %+v\nwant %+v", got, want)
		}
	}

	req, err := http.NewRequest(http.MethodPost, base+"/_matrix/media/v3/upload", io.LimitReader(zeros{}, upload))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = upload
	do(t, client, req, http.StatusOK)
	if got := <-requests; got.body != upload {
		t.Errorf("%d bytes of %d were uploaded", got.body, upload)
	}

	firstBytes(t, client, base+"/stream")

	req, err = http.NewRequest(http.MethodGet, base+"/wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	do(t, client, req, http.StatusOK)
	<-requests

	redirect(t, clientOf(httpPort))
}

func do(t *testing.T, c *http.Client, req *http.Request, want int) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != want {
		t.Fatalf("%s: %s", req.URL, res.Status)
	}
}

// firstBytes wants the start of an answer that never ends.
func firstBytes(t *testing.T, c *http.Client, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, b); err != nil {
		t.Errorf("answers are held back: %v", err)
	}
}

func redirect(t *testing.T, c *http.Client) {
	t.Helper()
	res, err := c.Get("http://matrix.example.com/_matrix/client/versions")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if to := res.Header.Get("Location"); res.StatusCode/100 != 3 || !strings.HasPrefix(to, "https://matrix.example.com") {
		t.Errorf("plain HTTP answers %s %q", res.Status, to)
	}
}

// clientOf connects to a port of this machine, whatever the name; the
// certificates are the proxies' own.
func clientOf(port string) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
			},
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func waitFor(t *testing.T, port string) {
	t.Helper()
	c := clientOf(port)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		res, err := c.Get("https://matrix.example.com/probe")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the proxy does not answer: %v", err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// adapt writes the operator's file with this test's ports and paths.
func adapt(t *testing.T, from, to string, replace ...string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !bytes.Contains(text, []byte(replace[i])) {
			t.Fatalf("%s does not have %q", from, replace[i])
		}
	}
	if err := os.WriteFile(to, []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
}

func startNginx(t *testing.T, dir, http, https, backend string) *exec.Cmd {
	cert, key := certificate(t, dir)
	adapt(t, "nginx.conf", filepath.Join(dir, "site.conf"),
		"listen 80;", "listen 127.0.0.1:"+http+";", "listen [::]:80;", "",
		"listen 443 ssl", "listen 127.0.0.1:"+https+" ssl", "listen [::]:443 ssl http2;", "",
		"/etc/letsencrypt/live/matrix.example.com/fullchain.pem", cert,
		"/etc/letsencrypt/live/matrix.example.com/privkey.pem", key,
		"127.0.0.1:8008", backend)
	main := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr;
		events {}
		http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; include %[1]s/site.conf; }`, dir)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.Command("nginx", "-p", dir, "-c", conf, "-g", "master_process off;")
}

func startCaddy(t *testing.T, dir, http, https, backend string) *exec.Cmd {
	file := filepath.Join(dir, "Caddyfile")
	adapt(t, "Caddyfile", file, "127.0.0.1:8008", backend)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	global := fmt.Sprintf("{\n\tadmin off\n\thttp_port %s\n\thttps_port %s\n\tlocal_certs\n\tskip_install_trust\n}\n", http, https)
	if err := os.WriteFile(file, append([]byte(global), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("caddy", "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	return cmd
}

func startTraefik(t *testing.T, dir, http, https, backend string) *exec.Cmd {
	dynamic := filepath.Join(dir, "hearth.yml")
	adapt(t, "traefik-hearth.yml", dynamic,
		"127.0.0.1:8008", backend, "tls:\n        certResolver: letsencrypt", "tls: {}")
	static := filepath.Join(dir, "traefik.yml")
	adapt(t, "traefik.yml", static,
		`":80"`, `"127.0.0.1:`+http+`"`, `":443"`, `"127.0.0.1:`+https+`"`,
		"/etc/traefik/hearth.yml", dynamic, "/var/lib/traefik/acme.json", filepath.Join(dir, "acme.json"))
	return exec.Command("traefik", "--configFile="+static)
}

func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "matrix.example.com"},
		DNSNames: []string{"matrix.example.com"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
