package pusher

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"strings"
	text "text/template"

	"hearth/base/mail"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

const (
	// perRoom bounds the messages of one room that a mail shows, roomsShown the
	// rooms, and excerpt what it shows of a message, in characters.
	perRoom    = 5
	roomsShown = 20
	excerpt    = 300
)

// digestOf is what a mail says.
type digestOf struct {
	Server, User string
	Rooms        []digestRoom
	MoreRooms    int
	Unsubscribe  string
}

type digestRoom struct {
	Name, Link string
	Lines      []digestLine
	More       int
}

type digestLine struct{ Sender, Text string }

// digest writes the mail about what is unread.
func (e *Engine) digest(p store.Pusher, unread []unreadEvent) mail.Message {
	d := digestOf{Server: e.Mail.Server, User: p.User, Unsubscribe: e.unsubscribeLink(p)}
	at := map[int64]int{}
	for _, u := range unread {
		i, known := at[u.room.NID]
		if !known {
			i = len(d.Rooms)
			at[u.room.NID] = i
			d.Rooms = append(d.Rooms, digestRoom{Name: u.roomName, Link: "https://matrix.to/#/" + u.room.ID})
		}
		if r := &d.Rooms[i]; len(r.Lines) < perRoom {
			r.Lines = append(r.Lines, digestLine{u.sender, said(u.ev)})
		} else {
			r.More++
		}
	}
	what := fmt.Sprintf("%d messages", len(unread))
	if len(unread) == 1 {
		what = "A message"
	}
	subject := fmt.Sprintf("[%s] %s in %d rooms", d.Server, what, len(d.Rooms))
	if len(d.Rooms) == 1 {
		subject = fmt.Sprintf("[%s] %s in %s", d.Server, what, d.Rooms[0].Name)
	}
	if n := len(d.Rooms); n > roomsShown {
		d.Rooms, d.MoreRooms = d.Rooms[:roomsShown], n-roomsShown
	}
	m := mail.Message{To: p.Key, Subject: short(subject, 150), Headers: map[string]string{
		"List-Unsubscribe":      "<" + d.Unsubscribe + ">",
		"List-Unsubscribe-Post": "List-Unsubscribe=One-Click", // RFC 8058
	}}
	var plain, html bytes.Buffer
	if err := digestText.Execute(&plain, d); err == nil {
		m.Text = plain.String()
	}
	if err := digestHTML.Execute(&html, d); err == nil {
		m.HTML = html.String()
	}
	return m
}

// said is what a mail shows of an event.
func said(ev *room.Event) string {
	switch ev.Type {
	case "m.room.message":
		body, _ := canonjson.GetString(ev.Content, "body")
		return short(body, excerpt)
	case "m.room.encrypted":
		return "(encrypted)"
	case "m.room.member":
		if ev.Membership() == "invite" {
			return "invites you"
		}
	case "m.sticker":
		return "(sticker)"
	}
	return "(something new)"
}

func short(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// namesFor are the names that a user sees of a room and of who speaks there.
func (e *Engine) namesFor(ctx context.Context, r *room.Room, ev *room.Event, user string) (roomName, sender string, err error) {
	for _, f := range []struct {
		typ, key, field string
		to              *string
	}{
		{"m.room.member", ev.Sender, "displayname", &sender},
		{"m.room.canonical_alias", "", "alias", &roomName},
		{"m.room.name", "", "name", &roomName},
	} {
		state, err := e.Rooms.StateEvent(ctx, r, r.Current().State, f.typ, f.key)
		if err != nil {
			return "", "", err
		}
		if state != nil {
			if s, _ := state.GetString(f.field); s != "" {
				*f.to = short(s, 100)
			}
		}
	}
	if sender == "" {
		sender = ev.Sender
	}
	if roomName == "" {
		roomName = "a conversation with " + sender
	}
	return roomName, sender, nil
}

var digestText = text.Must(text.New("").Parse(`{{range .Rooms}}{{.Name}}
{{.Link}}

{{range .Lines}}  {{.Sender}}: {{.Text}}
{{end}}{{if .More}}  and {{.More}} more
{{end}}
{{end}}{{if .MoreRooms}}And something in {{.MoreRooms}} more rooms.

{{end}}--
This mail is for {{.User}}, who has not read these messages on {{.Server}} yet.
No more such mail: {{.Unsubscribe}}
`))

var digestHTML = template.Must(template.New("").Parse(`<!doctype html>
<html><body>
{{range .Rooms}}<h3><a href="{{.Link}}">{{.Name}}</a></h3>
{{range .Lines}}<p><b>{{.Sender}}</b>: {{.Text}}</p>
{{end}}{{if .More}}<p>and {{.More}} more</p>
{{end}}{{end}}{{if .MoreRooms}}<p>And something in {{.MoreRooms}} more rooms.</p>
{{end}}<hr>
<p><small>This mail is for {{.User}}, who has not read these messages on {{.Server}} yet. <a href="{{.Unsubscribe}}">No more such mail</a></small></p>
</body></html>
`))
