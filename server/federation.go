package server

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"path/filepath"
	"strings"
	"time"

	"hearth/base/blob"
	"hearth/base/config"
	"hearth/base/netguard"
	"hearth/homeserver/fedclient"
	"hearth/homeserver/media"
	"hearth/matrix/mxid"
)

// buildFederation makes what speaks to other servers, if anything does.
func (s *Server) buildFederation(keyID string, key ed25519.PrivateKey) error {
	if !s.cfg.Federation.Enabled {
		return nil
	}
	roots, err := s.cfg.FederationRoots()
	if err != nil {
		return err
	}
	s.peers = fedclient.New(fedclient.Config{
		Server: mxid.ServerName(s.cfg.ServerName), KeyID: keyID, Key: key,
		Allowed: ranges(s.cfg.Federation.AllowedAddresses), Roots: roots, Log: s.log,
	})
	return nil
}

func ranges(list []config.AddrRange) (all netguard.Ranges) {
	for _, r := range list {
		all = append(all, netguard.Range{From: r.First, To: r.Last})
	}
	return all
}

// buildMedia makes what keeps files.
func (s *Server) buildMedia(ctx context.Context) error {
	blobs, err := s.blobs(ctx)
	if err != nil {
		return err
	}
	c := media.Config{
		DB: s.db, Blobs: blobs, Server: mxid.ServerName(s.cfg.ServerName), UserQuota: s.cfg.Media.UserQuota, AboutLimits: cmp.Or(s.cfg.Support.Page, s.cfg.PublicBase()+"/"), Log: s.log,
		Remote: media.Remote{MaxFile: s.cfg.Media.RemoteMaxSize, CacheSize: s.cfg.Media.RemoteCacheSize, CacheAge: s.cfg.Media.RemoteCacheAge},
	}
	if s.peers != nil {
		c.Fetch = s.fetchMedia
	}
	s.media = media.New(c)
	s.owners = append(s.owners, s.media)
	return nil
}

// fetchMedia shows other servers' files to the media engine.
func (s *Server) fetchMedia(ctx context.Context, origin mxid.ServerName, id string, wait time.Duration, most int64) (*media.Incoming, error) {
	f, err := s.peers.Media(ctx, origin, id, wait, most)
	if err != nil {
		return nil, err
	}
	return &media.Incoming{Type: f.Type, Name: f.Name, Content: f.Content}, nil
}

// blobs opens where files are kept.
func (s *Server) blobs(ctx context.Context) (blob.Store, error) {
	dir, c := filepath.Join(s.cfg.Storage.Dir, "media"), s.cfg.S3
	if c.Endpoint == "" {
		return blob.Open(dir)
	}
	endpoint, insecure := strings.CutPrefix(c.Endpoint, "http://")
	return blob.OpenS3(ctx, dir, blob.Bucket{
		Endpoint: strings.TrimSuffix(strings.TrimPrefix(endpoint, "https://"), "/"), Insecure: insecure, Region: c.Region,
		Name: c.Bucket, Prefix: c.Prefix, AccessKey: c.AccessKey, SecretKey: c.SecretKey, PathStyle: c.PathStyle,
	})
}
