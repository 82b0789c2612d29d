package fedclient

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"hearth/matrix/mxid"
)

// Place is where a server is reached.
type Place struct {
	Host string   // what the Host header says
	Name string   // what the certificate must be for: a host name or an IP address
	Dial []string // "host:port", in the order in which they are tried
}

// SRVs looks up SRV records, as net.Resolver does.
type SRVs interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
}

const (
	defaultPort = "8448"
	// maxPlaces bounds the SRV records of a name that are tried.
	maxPlaces = 8
)

// resolve finds where a server is, in the order of
// server-server-api/#resolving-server-names.
func (c *Client) resolve(ctx context.Context, server mxid.ServerName) (Place, error) {
	if place, ok, err := written(server); ok || err != nil {
		return place, err
	}
	name := server
	if to := c.known.delegate(ctx, server.Host()); to != "" {
		if place, ok, err := written(to); ok || err != nil {
			return place, err
		}
		name = to
	}
	return c.bySRV(ctx, name.Host()), nil
}

// written is the place of a server whose name says it: by an IP address, or by a
// port (steps 1 and 2).
func written(server mxid.ServerName) (place Place, ok bool, err error) {
	host, port := server.Host(), server.Port()
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return place, false, fmt.Errorf("%s has no port from 1 to 65535", server)
		}
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	isIP := err == nil
	if !isIP && port == "" {
		return place, false, nil
	}
	place = Place{Host: string(server), Name: strings.Trim(host, "[]")}
	if isIP {
		place.Name = addr.String()
	}
	if port == "" {
		port = defaultPort
	}
	place.Dial = []string{net.JoinHostPort(place.Name, port)}
	return place, true, nil
}

// bySRV is the place of a host by its SRV records, or its default port (steps 3.3
// to 3.5, and 4 to 6). Certificates are for the host: its records may be forged.
func (c *Client) bySRV(ctx context.Context, host string) Place {
	place := Place{Host: host, Name: host}
	for _, service := range []string{"matrix-fed", "matrix"} {
		// What cannot be looked up counts as missing: whoever answers at the default
		// port must show a certificate all the same.
		_, records, _ := c.cfg.SRV.LookupSRV(ctx, service, "tcp", host)
		for _, srv := range records {
			if target := strings.TrimSuffix(srv.Target, "."); target != "" && srv.Port != 0 && len(place.Dial) < maxPlaces {
				place.Dial = append(place.Dial, net.JoinHostPort(target, strconv.Itoa(int(srv.Port))))
			}
		}
		if len(place.Dial) > 0 {
			return place
		}
	}
	place.Dial = []string{net.JoinHostPort(host, defaultPort)}
	return place
}
