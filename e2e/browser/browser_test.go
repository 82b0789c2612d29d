package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"hearth/api/spectest"
	"hearth/e2e"
)

// step is one line of what run.mjs reports.
type step struct {
	Step     string
	Messages []string // "history"
	Via      string   // "call" and "wrong password", with the two below
	Alice    media
	Bob      media

	secret
}

// media is what one side of a call has decoded, and through what.
type media struct {
	State         string
	VideoFrames   int
	AudioSamples  int // 48,000 a second, without those made up for lost packets
	AudioEnergy   float64
	Candidate     string
	RelayProtocol string
	Relays        int
	Problems      []string
}

func TestTwoPeopleInBrowsers(t *testing.T) {
	paths := programs(t)
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		judge(t, tell(t, paths, "run.mjs", spectest.Proxy(t, h.URL), "call-"+filepath.Base(t.Name())+".png"))
	})
}

// programs finds what the stories are told with.
func programs(t *testing.T) map[string]string {
	paths := map[string]string{}
	for _, program := range []string{"node", "chromium"} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Skipf("no %s here: go run ./dev test says how to get it", program)
		}
		paths[program] = path
	}
	return paths
}

// tell runs a story against the server at url and returns what happened.
func tell(t *testing.T, paths map[string]string, story, url, screenshot string) []step {
	dir := os.Getenv("HEARTH_TEST_ARTEFACTS")
	if dir == "" {
		dir = t.TempDir()
	}
	screenshot = filepath.Join(dir, screenshot)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, paths["node"], story)
	node.Cancel = func() error { return node.Process.Signal(syscall.SIGTERM) } // it closes the browser first
	node.WaitDelay = 20 * time.Second
	node.Env = append(os.Environ(), "HEARTH_URL="+url, "HEARTH_CHROMIUM="+paths["chromium"], "HEARTH_SCREENSHOT="+screenshot)
	var lines, complaints bytes.Buffer
	node.Stdout, node.Stderr = &lines, &complaints
	if err := node.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", story, err, lines.Bytes(), complaints.Bytes())
	}
	if info, err := os.Stat(screenshot); err != nil || info.Size() == 0 {
		t.Errorf("no screenshot: %v", err)
	}
	var steps []step
	for d := json.NewDecoder(&lines); d.More(); {
		var s step
		if err := d.Decode(&s); err != nil {
			t.Fatalf("%s printed no JSON: %v", story, err)
		}
		steps = append(steps, s)
	}
	return steps
}

// judge holds what the browsers report against what people expect.
func judge(t *testing.T, steps []step) {
	var calls, vain []string
	talked := false
	for _, s := range steps {
		switch s.Step {
		case "history":
			talked = true
			if want := []string{"Is the hearth warm?", "It is. Come in."}; !slices.Equal(s.Messages, want) {
				t.Errorf("bob reads %q, want %q", s.Messages, want)
			}
		case "call":
			calls = append(calls, s.Via)
			judgeCall(t, s.Via, "alice", s.Alice)
			judgeCall(t, s.Via, "bob", s.Bob)
		case "wrong password":
			vain = append(vain, s.Via)
			if m := s.Alice; m.Relays > 0 || m.VideoFrames > 0 || m.AudioSamples > 0 || m.State == "connected" || len(m.Problems) == 0 {
				t.Errorf("call over %s with a wrong password: %+v, want no relay, no media and a refusal", s.Via, m)
			}
		}
	}
	every := []string{"udp", "tcp", "tls"}
	if !talked || !slices.Equal(calls, every) || !slices.Equal(vain, every) {
		t.Errorf("the story is incomplete: talked %v, calls %v, with a wrong password %v", talked, calls, vain)
	}
}

func judgeCall(t *testing.T, via, who string, m media) {
	t.Logf("%s, call over %s: %d video frames, %.1f s of sound", who, via, m.VideoFrames, float64(m.AudioSamples)/48_000)
	if m.VideoFrames < 40 || m.AudioSamples < 48_000 || m.AudioEnergy == 0 {
		t.Errorf("%s decoded too little in the call over %s: %+v", who, via, m)
	}
	if m.Candidate != "relay" || m.RelayProtocol != via {
		t.Errorf("%s got the call through %s/%s, want relay/%s", who, m.Candidate, m.RelayProtocol, via)
	}
}
