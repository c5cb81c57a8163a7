// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// mainVariable makes the test binary the program.
const mainVariable = "WAITRESS_TEST_FILES"

func TestMain(m *testing.M) {
	if os.Getenv(mainVariable) != "" {
		os.Args[0] = "files"
		main()
		return
	}
	os.Exit(m.Run())
}

// folder makes a folder with files, all of one time.
func folder(t *testing.T) *files {
	t.Helper()
	dir := t.TempDir()
	then := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, text := range map[string]string{
		"page.html": "<p>page</p>", "page.html.br": "br of page", "page.html.gz": "gz of page",
		"data": "some data", "data.gz": "gz of data", "old.txt": "new text", "old.txt.gz": "gz of old text",
		"sub/index.html": "<p>index</p>", "sub/index.html.gz": "gz of index",
		"list/a": "a", "list/b c": "b",
	} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := then
		if strings.HasSuffix(name, "old.txt.gz") {
			at = then.Add(-time.Hour)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return newFiles(root)
}

func get(h http.Handler, method, target string, fields ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestFiles(t *testing.T) {
	h := folder(t)
	const modified = "Tue, 02 Jan 2024 03:04:05 GMT"
	for _, test := range []struct {
		name, method, target string
		fields               []string
		status               int
		body                 string // what it contains
		header               []string
	}{
		{"a file", "GET", "/page.html", nil, 200, "<p>page</p>", []string{"Content-Type: text/html; charset=utf-8", "Content-Length: 11", "Last-Modified: " + modified, "Accept-Ranges: bytes", "Vary: Accept-Encoding"}},
		{"HEAD", "HEAD", "/page.html", nil, 200, "", []string{"Content-Length: 11"}},
		{"a range", "GET", "/page.html", []string{"Range: bytes=3-6"}, 206, "page", []string{"Content-Range: bytes 3-6/11"}},
		{"no such range", "GET", "/page.html", []string{"Range: bytes=50-"}, 416, "", []string{"Content-Range: bytes */11"}},
		{"not modified", "GET", "/page.html", []string{"If-Modified-Since: " + modified}, 304, "", nil},
		{"modified", "GET", "/page.html", []string{"If-Modified-Since: Mon, 01 Jan 2024 03:04:05 GMT"}, 200, "<p>page</p>", nil},
		{"another entity", "GET", "/page.html", []string{`If-Match: "x"`}, 412, "", nil},
		{"br", "GET", "/page.html", []string{"Accept-Encoding: gzip, br"}, 200, "br of page", []string{"Content-Encoding: br", "Content-Type: text/html; charset=utf-8", "Content-Length: 10"}},
		{"gzip", "GET", "/page.html", []string{"Accept-Encoding: gzip"}, 200, "gz of page", []string{"Content-Encoding: gzip"}},
		{"gzip is liked better", "GET", "/page.html", []string{"Accept-Encoding: br;q=0.5, gzip;q=0.9"}, 200, "gz of page", nil},
		{"br is refused", "GET", "/page.html", []string{"Accept-Encoding: br;q=0, *"}, 200, "gz of page", nil},
		{"nothing is taken", "GET", "/page.html", []string{"Accept-Encoding: identity"}, 200, "<p>page</p>", []string{"Content-Encoding: "}},
		{"a range of what is compressed", "GET", "/page.html", []string{"Accept-Encoding: br", "Range: bytes=0-1"}, 206, "br", []string{"Content-Encoding: br", "Content-Range: bytes 0-1/10", "Content-Length: 2"}},
		{"compressed, of no known type", "GET", "/data", []string{"Accept-Encoding: gzip"}, 200, "gz of data", []string{"Content-Type: application/octet-stream"}},
		{"compressed too long ago", "GET", "/old.txt", []string{"Accept-Encoding: gzip"}, 200, "new text", []string{"Content-Encoding: "}},
		{"a compressed file itself", "GET", "/data.gz", nil, 200, "gz of data", []string{"Content-Encoding: "}},
		{"index", "GET", "/sub/", nil, 200, "<p>index</p>", nil},
		{"index, compressed", "GET", "/sub/", []string{"Accept-Encoding: gzip"}, 200, "gz of index", []string{"Content-Encoding: gzip"}},
		{"index by its name", "GET", "/sub/index.html", nil, 301, "", []string{"Location: ./"}},
		{"folder without its slash", "GET", "/sub", nil, 301, "", []string{"Location: sub/"}},
		{"a list", "GET", "/list/", nil, 200, `<a href="b%20c">b c</a>`, nil},
		{"file with a slash", "GET", "/page.html/", nil, 301, "", []string{"Location: ../page.html"}},
		{"no such file", "GET", "/none", nil, 404, "", nil},
		{"above", "GET", "/../files_test.go", nil, 404, "", nil},
		{"above, escaped", "GET", "/%2e%2e/files_test.go", nil, 404, "", nil},
		{"POST", "POST", "/page.html", nil, 405, "", []string{"Allow: GET, HEAD"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp := get(h, test.method, test.target, test.fields...)
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status || !strings.Contains(string(body), test.body) {
				t.Errorf("%d %q, want %d %q", resp.StatusCode, body, test.status, test.body)
			}
			for _, f := range test.header {
				name, want, _ := strings.Cut(f, ": ")
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestFilesETag: two forms of one file never have the same, and each is known again.
func TestFilesETag(t *testing.T) {
	h := folder(t)
	seen := make(map[string]bool)
	for _, coding := range []string{"identity", "gzip", "br"} {
		etag := get(h, "GET", "/page.html", "Accept-Encoding: "+coding).Header.Get("ETag")
		if etag == "" || seen[etag] {
			t.Errorf("%s: %s", coding, etag)
		}
		seen[etag] = true
		if resp := get(h, "GET", "/page.html", "Accept-Encoding: "+coding, "If-None-Match: "+etag); resp.StatusCode != 304 {
			t.Errorf("%s: %d", coding, resp.StatusCode)
		}
	}
}

// TestFilesClosed: of two files that were opened neither stays open. Windows can't remove a folder then; Linux can be asked.
func TestFilesClosed(t *testing.T) {
	const descriptors = "/proc/self/fd"
	if _, err := os.Stat(descriptors); err != nil {
		t.Skip(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would close what is forgotten
	h := folder(t)
	for _, coding := range []string{"identity", "gzip", "br"} {
		get(h, "GET", "/page.html", "Accept-Encoding: "+coding)
		get(h, "GET", "/old.txt", "Accept-Encoding: "+coding)
	}
	open, err := os.ReadDir(descriptors)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range open {
		name, err := os.Readlink(filepath.Join(descriptors, d.Name()))
		if err == nil && strings.HasPrefix(name, h.folder.Name()+"/") { // that of ReadDir itself is gone
			t.Errorf("%s is open", name)
		}
	}
}

// TestFilesLink: a link that leads out of the folder is not followed.
func TestFilesLink(t *testing.T) {
	h := folder(t)
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(h.folder.Name(), "link")); err != nil {
		t.Skip(err)
	}
	resp := get(h, "GET", "/link")
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 404 || bytes.Contains(body, []byte("secret")) {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

// program runs the test binary as the program.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Where the processor is another's, an emulator runs it.
	command := append(strings.Fields(os.Getenv("WAITRESS_TEST_EMULATOR")), self)
	command = append(command, args...)
	c := exec.CommandContext(t.Context(), command[0], command[1:]...)
	c.Env = append(os.Environ(), mainVariable+"=1")
	return c
}

// TestProgramRefuses: what can't be is said in one line, and the status is 2.
func TestProgramRefuses(t *testing.T) {
	for _, test := range []struct{ arg, says string }{
		{"-threads=x", `files: -threads: "x"`},
		{"-threads=-1", "files: waitress: Threads is -1"},
		{"-unknown", "files: flag provided but not defined: -unknown"},
		{"/tmp", `files: unknown argument "/tmp"; the folder is told by -dir`},
		{"-config=/nowhere.toml", "files: open /nowhere.toml"},
	} {
		out, err := program(t, test.arg).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%s: %v", test.arg, err)
		}
		if text := string(out); !strings.HasPrefix(text, test.says) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %q", test.arg, text)
		}
	}
}

func TestProgramHelp(t *testing.T) {
	out, err := program(t, "-help").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "-max-header-bytes") || !strings.Contains(string(out), "-dir FOLDER") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestProgram: from flags to a file that is served.
func TestProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signal to end it with")
	}
	h := folder(t)
	c := program(t, "-dir", h.folder.Name(), "-listen=127.0.0.1:0", "-ident=files/1")
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "Serving on ")
	if err != nil || !ok {
		t.Fatalf("it said %q, %v", line, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	resp, err := client.Get(url + "/page.html")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(body) != "<p>page</p>" || resp.Header.Get("Server") != "files/1" {
		t.Errorf("%q, %v", body, resp.Header)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}
