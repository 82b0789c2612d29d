package server_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/base/config"
	"hearth/server"
)

// Whatever keeps a server from starting is told with the line that asks for it.
func TestStartErrorsNameTheLine(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()

	for key, want := range map[string]struct{ value, text string }{
		"listen.http":      {tcp.Addr().String(), "listen.http: TCP port "},
		"turn.udp":         {udp.LocalAddr().String(), "turn.udp: UDP port "},
		"turn.tcp":         {tcp.Addr().String(), "turn.tcp: TCP port "},
		"storage.database": {"postgres://u:pw@127.0.0.1:1/x", "the database cannot be reached"},
	} {
		t.Run(key, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "hearth.toml")
			text := "server_name = \"a.test\"\n\n  " + key + " = \"" + want.value + "\"\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Storage.Dir = filepath.Join(dir, "data")
			if key != "listen.http" {
				cfg.Listen.HTTP = "127.0.0.1:0"
			}
			s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err == nil {
				defer s.Stop(t.Context())
				err = s.Start(t.Context())
			}
			if err == nil || !strings.HasPrefix(err.Error(), file+":3:3: "+want.text) {
				t.Errorf("%v", err)
			}
		})
	}
}
