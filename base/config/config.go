// Package config reads Hearth's configuration: one TOML file and the conf.d
// folder beside it. It is strict (a key it does not know stops the start) and
// it says where each value came from.
//
// It refuses to know what the values do. It opens no port and no database; the
// only files it touches are the configuration itself and the certificate pair
// that the configuration names.
package config

import (
	"net/netip"
	"strings"
	"time"
)

//go:generate go test -run TestExampleIsFresh -update .

// Config is everything an operator can set. The comments of these structs are
// the manual: example.toml is made from them, so they speak to the operator and
// not to the programmer. The tag "is" names the kind of a value (kinds.go).
type Config struct {
	// The name behind the colon in @user:example.com. It can never change
	// later. It need not be the name of this machine.
	ServerName string `toml:"server_name" is:"servername"`

	Listen       Listen       `toml:"listen"`
	TLS          TLS          `toml:"tls"`
	Network      Network      `toml:"network"`
	Storage      Storage      `toml:"storage"`
	Registration Registration `toml:"registration"`
	Terms        Terms        `toml:"terms"`
	Captcha      Captcha      `toml:"captcha"`
	Mail         Mail         `toml:"mail"`
	SMS          SMS          `toml:"sms"`
	Login        Login        `toml:"login"`
	Rooms        Rooms        `toml:"rooms"`
	TURN         TURN         `toml:"turn"`
	Presence     Presence     `toml:"presence"`
	Limits       Limits       `toml:"limits"`
	Media        Media        `toml:"media"`
	S3           S3           `toml:"s3"`
	Federation   Federation   `toml:"federation"`
	Push         Push         `toml:"push"`
	AppServices  AppServices  `toml:"appservices"`
	Support      Support      `toml:"support"`
	Log          Log          `toml:"log"`

	// The rest is set by "hearth trial" and cannot be written in a file.
	//
	// OpenOnlyFrom narrows registration.mode "open" to some IP addresses; others
	// need a token. nil means that open is open. Trial is how the operator calls
	// hearth ("./hearth"), for hints that can be copied; "" means no trial.
	OpenOnlyFrom func(addr string) bool
	Trial        string
	TrialDir     string // the --dir that those commands need; "" if they do without

	file    string            // the main file, "" for Default
	origins map[string]Origin // by dotted key; keys left at their default are absent
}

// Listen is the addresses that clients connect to.
type Listen struct {
	// Plain HTTP, as "host:port", ":port" for every address of this machine,
	// or "" for none. Put a reverse proxy in front, or use https below.
	HTTP string `toml:"http" is:"address"`

	// HTTPS, for example ":443"; needs tls.mode = "files".
	HTTPS string `toml:"https" is:"address"`

	// Where clients and browsers reach this server, for links in mail, for example
	// "https://matrix.example.com". "" means https:// and the server name.
	PublicURL string `toml:"public_url" is:"url"`

	// Addresses or networks of your own reverse proxies, for example
	// ["127.0.0.1", "::1"]. Only their X-Forwarded-For and X-Forwarded-Proto
	// headers are believed. Without it everybody behind a proxy shares one
	// address, and so one rate limit.
	TrustedProxies []netip.Prefix `toml:"trusted_proxies" is:"networks"`
}

// TLS is the certificate for https and for TURN over TLS.
type TLS struct {
	// off:   no TLS in Hearth (the reverse proxy does it).
	// files: use the two files below.
	Mode string `toml:"mode" is:"choice" of:"off files"`

	// PEM file with the certificate and its chain ("fullchain.pem").
	// A relative path starts at the folder of the main configuration file.
	Cert string `toml:"cert" is:"path"`

	// PEM file with the private key of that certificate.
	Key string `toml:"key" is:"path"`
}

// Network is how this machine is seen from outside.
type Network struct {
	// Public addresses of this machine, for calls: "auto", or a list such as
	// ["203.0.113.7", "2001:db8::7"]. Write them when the machine is behind NAT:
	// clients are told to send their media there.
	External []netip.Addr `toml:"external" is:"external"` // empty means auto
}

// Storage is where data lives.
type Storage struct {
	// Folder for the database, media, generated keys and the admin socket.
	// A relative path starts at the folder of the main configuration file.
	// Secrets that Hearth makes for itself are in its folder "keys".
	Dir string `toml:"dir" is:"path"`

	// "" keeps everything in an embedded SQLite database in dir. Otherwise a
	// PostgreSQL URL: "postgres://user:password@host:5432/name".
	Database string `toml:"database" is:"database"`
}

// Registration is who may make an account.
type Registration struct {
	// closed: only the operator makes accounts ("hearth user add").
	// token:  people need a registration token ("hearth token create").
	// open:   everybody. Spammers will find an open server on the internet.
	Mode string `toml:"mode" is:"choice" of:"closed token open"`

	// Secret for register_new_matrix_user and for tools that speak Synapse's
	// shared-secret registration. "" turns that door off.
	SharedSecret string `toml:"shared_secret" is:"secret"`

	// Whether people may look around without an account.
	Guests bool `toml:"guests" is:"switch"`

	// What becomes of mail addresses when people make an account: off asks for
	// none, optional lets them give one, required wants one. It takes [mail].
	Email string `toml:"email" is:"choice" of:"off optional required"`
}

// Terms is the terms of use.
type Terms struct {
	// Version of the terms, for example "2026-01". People agree to it when they
	// register. "" means that there are none.
	Version string `toml:"version" is:"text"`

	// Where people read them: pages of yours. The privacy policy may be missing.
	URL     string `toml:"url" is:"url"`
	Privacy string `toml:"privacy" is:"url"`

	// Who must have agreed: new people only, or everybody, also after a new version.
	// Those who have not can read but not speak; their clients show them a link.
	For string `toml:"for" is:"choice" of:"new everybody"`
}

// Captcha is Google's reCAPTCHA v2, which keeps robots from making accounts.
type Captcha struct {
	// What Google calls the site key and the secret key; "" for no captcha. With one,
	// the browsers of those who register talk to Google. Mode "token" needs none.
	PublicKey  string `toml:"public_key" is:"text"`
	PrivateKey string `toml:"private_key" is:"secret"`

	// Where it is asked whether a captcha has been solved.
	SiteVerify string `toml:"siteverify" is:"url"`
}

// Mail is how this server sends mail, for lost passwords and missed messages.
type Mail struct {
	// The server that takes the mail, for example "mail.example.com:587"; "" for no
	// mail.
	SMTP string `toml:"smtp" is:"text"`

	// starttls: encrypted after a greeting, customary on port 587.
	// tls:      encrypted from the beginning, customary on port 465.
	// none:     not at all, for a server on this machine.
	TLS string `toml:"tls" is:"choice" of:"starttls tls none"`

	// What the mail server asks for; "" if it asks for nothing.
	User     string `toml:"user" is:"text"`
	Password string `toml:"password" is:"secret"`

	// The sender, for example "Hearth <hearth@example.com>".
	From string `toml:"from" is:"text"`
}

// Login is how people get in.
type Login struct {
	// Whether the server passes notes between two devices of which one signs in
	// the other by a QR code. Anybody may leave such a note for five minutes.
	Rendezvous bool `toml:"rendezvous" is:"switch"`
}

// SMS is how this server sends text messages, to prove phone numbers.
type SMS struct {
	// A program of yours that sends them, for example "http://127.0.0.1:9000/send";
	// "" for none. It is sent {"to": "+441632960000", "text": "..."} as JSON, and
	// answers with a status from 200 to 299 when it has taken the message.
	URL string `toml:"url" is:"url"`

	// Sent to it as "Authorization: Bearer ...". "" for nothing.
	Token string `toml:"token" is:"secret"`
}

// Rooms is how new rooms are made.
type Rooms struct {
	// The version of rooms for which the client asks for none. Old bots and
	// bridges may not understand 12, in which the creator of a room stands above
	// all power levels.
	DefaultVersion string `toml:"default_version" is:"choice" of:"1 2 3 4 5 6 7 8 9 10 11 12"`
}

// TURN is the relay for voice and video calls.
type TURN struct {
	// Where the relay listens for UDP, TCP and TLS: "host:port", ":port", or
	// the bare port. 3478 is customary for udp and tcp, 5349 for tls. Each
	// listener is on only when it is named here; with none, calls work only
	// between people whose networks reach each other. tls needs tls.mode = "files".
	UDP string `toml:"udp" is:"address"`
	TCP string `toml:"tcp" is:"address"`
	TLS string `toml:"tls" is:"address"`

	// UDP ports that media is relayed from; open them in the firewall. A 1:1
	// call needs up to four.
	RelayPorts PortRange `toml:"relay_ports" is:"ports"`

	// Realm in the relay's answers. "" means the server name.
	Realm string `toml:"realm" is:"text"`

	// Secret to hand to another homeserver so that its people use this relay
	// too (Synapse's turn_shared_secret). This server's own people do not need it.
	Secret string `toml:"secret" is:"secret"`

	// How many relayed streams one person may hold at a time, and all people
	// together. 0 means no limit but the number of relay ports.
	UserQuota  int `toml:"user_quota" is:"count"`
	TotalQuota int `toml:"total_quota" is:"count"`

	// How long the passwords that clients get for the relay are good.
	Lifetime time.Duration `toml:"lifetime" is:"duration"`

	// Whether guests get a password for the relay.
	AllowGuests bool `toml:"allow_guests" is:"switch"`

	// The relay never sends to private, local or reserved addresses. Add
	// addresses that it must not reach, or exempt some: "192.0.2.1",
	// "10.0.0.0-10.255.255.255" or "10.0.0.0/8". Allowed wins over denied.
	DeniedPeers  []AddrRange `toml:"denied_peers" is:"peers"`
	AllowedPeers []AddrRange `toml:"allowed_peers" is:"peers"`
}

// Presence is the online dot.
type Presence struct {
	// Whether people see who is online. Turning it off saves work on big servers.
	Enabled bool `toml:"enabled" is:"switch"`
}

// Limits is protection against floods.
type Limits struct {
	// Rate limits on logins, registration and sending. Turn them off only for
	// tests and benchmarks.
	Enabled bool `toml:"enabled" is:"switch"`
}

// Media is uploaded files.
type Media struct {
	// Largest upload, for example "100MB" (KB, MB and GB are powers of 1000;
	// K, M, G and KiB, MiB, GiB are powers of 1024). The reverse proxy's own
	// limit must not be smaller.
	MaxUpload int64 `toml:"max_upload" is:"size"` // bytes

	// What the files of one user may come to, for example "5GB"; 0 for any amount.
	UserQuota int64 `toml:"user_quota" is:"quota"` // bytes

	// Whether files can be had without an access token, by those who know their
	// address. Clients from before 2024 need that.
	Unauthenticated bool `toml:"unauthenticated" is:"switch"`

	// Whether the server looks at web pages that people talk about, so that
	// clients can show what is there.
	URLPreviews bool `toml:"url_previews" is:"switch"`

	// Copies of files of other servers: the largest one, what all of them together
	// may come to (0 for any amount), and for how long one is kept that nobody looks
	// at. Small pictures of them come on top.
	RemoteMaxSize   int64         `toml:"remote_max_size" is:"size"`    // bytes
	RemoteCacheSize int64         `toml:"remote_cache_size" is:"quota"` // bytes
	RemoteCacheAge  time.Duration `toml:"remote_cache_age" is:"duration"`

	// Private addresses and networks that may be looked at all the same, for
	// example ["192.168.1.20"]. Everybody with an account can then read pages
	// there.
	PreviewAllowed []AddrRange `toml:"preview_allowed" is:"peers"`
}

// Federation is how this server speaks with other homeservers.
type Federation struct {
	// Whether it does. For now it only shows them its people's files, and fetches
	// theirs; people of different servers cannot meet in rooms yet.
	Enabled bool `toml:"enabled" is:"switch"`

	// Other servers are never looked for at private, local or reserved addresses.
	// Exempt those in your own network: "192.0.2.1", "10.0.0.0-10.255.255.255" or
	// "10.0.0.0/8". Everybody with an account can then have this server ask there.
	AllowedAddresses []AddrRange `toml:"allowed_addresses" is:"peers"`

	// PEM file with certificate authorities that are believed besides those of this
	// machine, for other servers in your own network. "" for none.
	CA string `toml:"ca" is:"path"`
}

// S3 is an object store for uploaded files, instead of the folder storage.dir.
type S3 struct {
	// The server's address: "s3.example.com", "http://127.0.0.1:9000". Files go there
	// if it is not empty.
	Endpoint string `toml:"endpoint" is:"text"`

	// The bucket, which must be there, and what the names of all objects in it begin
	// with.
	Bucket string `toml:"bucket" is:"text"`
	Prefix string `toml:"prefix" is:"text"`

	// The region; "" finds it out.
	Region string `toml:"region" is:"text"`

	// The key that may read, write and delete in the bucket.
	AccessKey string `toml:"access_key" is:"text"`
	SecretKey string `toml:"secret_key" is:"secret"`

	// Whether the bucket's name stands in the path. Amazon wants it in the host name.
	PathStyle bool `toml:"path_style" is:"switch"`
}

// Push is notifications to phones and browsers.
type Push struct {
	// Notifications go to the gateways that people's apps name, but never to
	// private, local or reserved addresses. Exempt the address of a gateway in
	// your own network: "192.0.2.1", "10.0.0.0-10.255.255.255" or "10.0.0.0/8".
	// With such an exemption gateways may also be named without TLS ("http://").
	AllowedGateways []AddrRange `toml:"allowed_gateways" is:"peers"`
}

// AppServices is bridges to other networks, and bots that act for many users.
type AppServices struct {
	// Their registration files, for example ["bridges/whatsapp.yaml"]: those that
	// they make for Synapse, as they are. Relative paths start at the folder of the
	// main configuration file.
	Files []string `toml:"files" is:"paths"`
}

// Support is how people reach you; clients show what is not empty.
type Support struct {
	// Your user id, maybe on another server, so that you can be reached when this
	// one is down: "@anna:example.com".
	MatrixID string `toml:"matrix_id" is:"text"`

	// Mail addresses: for everything, and for reports of security problems.
	Email         string `toml:"email" is:"text"`
	SecurityEmail string `toml:"security_email" is:"text"`

	// A web page: "https://example.com/help".
	Page string `toml:"page" is:"text"`
}

// Log is what Hearth writes to standard error.
type Log struct {
	// debug, info, warn or error.
	Level string `toml:"level" is:"choice" of:"debug info warn error"`

	// text, json, or auto: text on a terminal and JSON otherwise.
	Format string `toml:"format" is:"choice" of:"auto text json"`
}

// Default is the configuration of an empty file. It has no server name.
func Default() *Config {
	return &Config{
		Listen:       Listen{HTTP: "127.0.0.1:8008"},
		TLS:          TLS{Mode: "off"},
		Storage:      Storage{Dir: "/var/lib/hearth"},
		Registration: Registration{Mode: "closed", Email: "off"},
		Terms:        Terms{For: "new"},
		Captcha:      Captcha{SiteVerify: "https://www.recaptcha.net/recaptcha/api/siteverify"},
		Mail:         Mail{TLS: "starttls"},
		Login:        Login{Rendezvous: true},
		Rooms:        Rooms{DefaultVersion: "12"},
		TURN: TURN{
			RelayPorts:  PortRange{49160, 49359},
			UserQuota:   12,
			Lifetime:    24 * time.Hour,
			AllowGuests: true,
		},
		Presence: Presence{Enabled: true},
		Limits:   Limits{Enabled: true},
		Media: Media{
			MaxUpload: 100_000_000, Unauthenticated: true, URLPreviews: true,
			RemoteMaxSize: 100_000_000, RemoteCacheSize: 5_000_000_000, RemoteCacheAge: 30 * 24 * time.Hour,
		},
		S3:  S3{PathStyle: true},
		Log: Log{Level: "info", Format: "auto"},
	}
}

// PublicBase is where clients and browsers reach the server, without a slash at
// the end.
func (c *Config) PublicBase() string {
	if c.Listen.PublicURL != "" {
		return strings.TrimRight(c.Listen.PublicURL, "/")
	}
	return "https://" + c.ServerName
}

// CallsOn reports whether any TURN listener is named.
func (c *Config) CallsOn() bool {
	return c.TURN.UDP != "" || c.TURN.TCP != "" || c.TURN.TLS != ""
}
