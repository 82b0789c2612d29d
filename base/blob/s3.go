package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Bucket says where in S3 blobs are.
type Bucket struct {
	Endpoint  string // host and port
	Insecure  bool   // plain HTTP
	Region    string // "" to find out
	Name      string
	Prefix    string // of the names of objects, "" for none
	AccessKey string
	SecretKey string
	// PathStyle puts the bucket's name into the path instead of the host name, as
	// most servers but Amazon's want it.
	PathStyle bool
}

// S3 keeps blobs in a bucket. What comes in is first written to a folder, since an
// object is named by what it contains.
type S3 struct {
	*Dir
	client *minio.Client
	bucket Bucket
}

// partSize is how much of a large object is sent at a time, in bytes. It is read
// from the file again and again, so it costs no memory.
const partSize = 16 << 20

// OpenS3 returns the blobs of a bucket, which must be there. dir is the folder for
// what comes in.
func OpenS3(ctx context.Context, dir string, b Bucket) (*S3, error) {
	lookup := minio.BucketLookupDNS
	if b.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(b.Endpoint, &minio.Options{
		Creds:  credentials.NewStaticV4(b.AccessKey, b.SecretKey, ""),
		Secure: !b.Insecure, Region: b.Region, BucketLookup: lookup,
	})
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	there, err := client.BucketExists(ctx, b.Name)
	if err == nil && !there {
		err = fmt.Errorf("there is no bucket %q", b.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("s3 at %s: %w", b.Endpoint, err)
	}
	local, err := Open(dir)
	if err != nil {
		return nil, err
	}
	return &S3{Dir: local, client: client, bucket: b}, nil
}

// Write is Store's.
func (s *S3) Write(ctx context.Context, r io.Reader) (*Draft, error) {
	b, err := s.Dir.Write(ctx, r)
	if err == nil {
		b.keep = s.keep
	}
	return b, err
}

func (s *S3) object(name string) string { return path.Join(s.bucket.Prefix, name[:2], name[2:4], name) }

// keep sends a finished file, unless its bytes are there already.
func (s *S3) keep(ctx context.Context, b *Draft) error {
	object := s.object(b.Name)
	if info, err := s.client.StatObject(ctx, s.bucket.Name, object, minio.StatObjectOptions{}); err == nil && info.Size == b.Size {
		return nil
	}
	f, err := os.Open(b.tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = s.client.PutObject(ctx, s.bucket.Name, object, f, b.Size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partSize, NumThreads: 1,
	})
	return away(err)
}

// away makes of an error that S3 gives no answer, or none of use, one that says so.
func away(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return errors.Join(ErrAway, err)
}

// Open is Store's.
func (s *S3) Open(ctx context.Context, name string) (io.ReadSeekCloser, error) {
	if len(name) != hexLen {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	o, err := s.client.GetObject(ctx, s.bucket.Name, s.object(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	if _, err := o.Stat(); err != nil {
		_ = o.Close()
		if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
			return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
		}
		return nil, away(err)
	}
	return o, nil
}

// Delete is Store's.
func (s *S3) Delete(ctx context.Context, name string) error {
	if len(name) != hexLen {
		return nil
	}
	return away(s.client.RemoveObject(ctx, s.bucket.Name, s.object(name), minio.RemoveObjectOptions{}))
}
