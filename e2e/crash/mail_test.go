package crash

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"hearth/e2e"
)

// TestDeviceMessagesAcrossKills: people write to a device while the server is
// killed again and again, and the device fetches. It gets every message once and
// in order, though requests are repeated and answers lost on both sides.
func TestDeviceMessagesAcrossKills(t *testing.T) {
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		const writers, deaths, each = 4, 20, 10 // answers with messages before each death
		device := &letterbox{user: h.Register(t, "receiver")}
		arrived, stop := make(chan struct{}, 1), make(chan struct{})
		var writing, reading sync.WaitGroup
		sent := make([]int, writers)
		for n := range writers {
			who := h.Register(t, fmt.Sprint("writer", n))
			writing.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := insist(ctx, func() error { return device.write(ctx, who, n, sent[n]) }); err != nil {
						t.Errorf("writer %d, message %d: %v", n, sent[n], err)
						return
					}
					sent[n]++
				}
			})
		}
		reading.Go(func() {
			for {
				// It takes what there is when the writers have ended, and one more
				// answer, which must be empty.
				last := false
				select {
				case <-stop:
					writing.Wait()
					last = true
				default:
				}
				for {
					var some bool
					err := insist(ctx, func() (err error) { some, err = device.fetch(ctx); return err })
					if err != nil {
						t.Error(err)
						return
					}
					if some {
						select {
						case arrived <- struct{}{}:
						default:
						}
					}
					if !last || !some {
						break
					}
				}
				if last {
					return
				}
			}
		})
		for range deaths {
			for range each {
				select {
				case <-arrived:
				case <-ctx.Done():
					t.Fatal("nothing arrives")
				}
			}
			h.Kill()
			h.Restart(t)
		}
		close(stop)
		writing.Wait()
		reading.Wait()
		for n := range writers {
			want := make([]int, sent[n])
			for i := range want {
				want[i] = i
			}
			if got := device.got[n]; !slices.Equal(got, want) {
				t.Errorf("of writer %d, who was acknowledged %d messages, the device got %d: %v", n, sent[n], len(got), got)
			}
			t.Logf("writer %d: %d messages", n, sent[n])
		}
	})
}

// letterbox is a device that others write to.
type letterbox struct {
	user  *e2e.Client
	since string
	got   map[int][]int // numbers of messages by writer
}

func (l *letterbox) write(ctx context.Context, from *e2e.Client, writer, n int) error {
	body := map[string]any{"messages": map[string]any{l.user.UserID: map[string]any{"*": map[string]int{"writer": writer, "n": n}}}}
	return from.Do(ctx, http.MethodPut, fmt.Sprintf("/_matrix/client/v3/sendToDevice/test/%d", n), body, nil)
}

// fetch takes one answer of /sync.
func (l *letterbox) fetch(ctx context.Context) (some bool, err error) {
	var answer struct {
		Next string `json:"next_batch"`
		To   struct {
			Events []struct {
				Content struct{ Writer, N int }
			}
		} `json:"to_device"`
	}
	query := url.Values{"timeout": {"200"}}
	if l.since != "" {
		query.Set("since", l.since)
	}
	if err := l.user.Do(ctx, http.MethodGet, "/_matrix/client/v3/sync?"+query.Encode(), nil, &answer); err != nil {
		return false, err
	}
	if l.got == nil {
		l.got = map[int][]int{}
	}
	for _, ev := range answer.To.Events {
		l.got[ev.Content.Writer] = append(l.got[ev.Content.Writer], ev.Content.N)
	}
	l.since = answer.Next
	return len(answer.To.Events) > 0, nil
}
