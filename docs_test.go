package hearth

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)#:]+)\)`)
	codeSpan = regexp.MustCompile("`((?:api|auth|base|calls|cmd|dev|docs|e2e|homeserver|matrix|server)/[a-zA-Z0-9_./-]*)`")
)

// TestDocsNameWhatIsThere looks up every file and folder that the documents link
// to or name.
func TestDocsNameWhatIsThere(t *testing.T) {
	pages := []string{"README.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), string(m[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
		for _, m := range codeSpan.FindAllSubmatch(text, -1) {
			if _, err := os.Stat(string(m[1])); err != nil {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
}
