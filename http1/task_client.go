// SPDX-License-Identifier: MIT

package http1

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/waitress-go/waitress/httpparse"
)

// Proxies are what is to be believed of the proxies in front of a TaskHandler. Immutable.
type Proxies struct {
	// Names says whether a field, its name in any case, may be about a request's client.
	Names func(name []byte) bool

	// Believe gets those fields of a request, by canonical names, the address of the connection's peer, and the scheme of the
	// connection. It removes the fields that are not to be believed, and tells what the others say; or returns the name of one
	// that says nothing sensible.
	Believe func(peer, scheme string, fields http.Header) (c Client, malformed string)
}

// A Client is what proxies tell of a request's client. What they don't is "".
type Client struct {
	RemoteAddr string // as Task.RemoteAddr
	Host       string // as Task.Host
	Scheme     string // "http" or "https"
	Port       string // of the URL that the client asked for

	malformed string // the name of the field that makes the request one to refuse
}

var noClient Client // immutable

// told returns what proxies tell of the request's client.
func (n *native) told() *Client {
	if n.client == nil {
		return &noClient
	}
	return n.client
}

// report makes r tell of c, which may be nil.
func (c *Client) report(r *Report) {
	if c == nil {
		return
	}
	if c.RemoteAddr != "" {
		r.Client = c.RemoteAddr
	}
	if c.Host != "" {
		r.Host = c.Host
	}
}

// prefixed returns how many bytes of the path are prefix, however they are encoded. What follows must be a new segment, or
// nothing.
func (n *native) prefixed(prefix string) uint32 {
	if prefix == "" || n.head.Form != httpparse.OriginForm && n.head.Form != httpparse.AbsoluteForm {
		return 0
	}
	path, _ := n.split()
	i := 0
	for j := 0; j < len(prefix); j++ {
		c, k := octet(path[i:])
		if k == 0 || c != prefix[j] {
			return 0
		}
		i += k
	}
	if c, k := octet(path[i:]); k > 0 && c != '/' {
		return 0
	}
	return uint32(i)
}

// octet decodes the first octet of a path, and returns how many bytes it takes: 0 at the end.
func octet(path []byte) (c byte, n int) {
	switch {
	case len(path) == 0:
		return 0, 0
	case path[0] == '%' && len(path) > 2 && isHex(path[1]) && isHex(path[2]):
		return fromHex(path[1])<<4 | fromHex(path[2]), 3
	}
	return path[0], 1
}

// within returns path without the prefix.
func (n *native) within(path []byte) []byte {
	if n.skip == 0 {
		return path
	}
	if path = path[n.skip:]; len(path) == 0 {
		return rootPath
	}
	return path
}

// findClient asks what the proxies tell of the client of the request that was begun, and takes what is not believed out of its
// head. Requests without such a field cost a look at their names.
func (n *native) findClient() {
	n.client = nil
	p := n.channel().server().config.Proxies
	if p == nil {
		return
	}
	var fields http.Header
	for _, f := range n.head.Fields {
		if name := f.Name.Of(n.text); p.Names(name) {
			if fields == nil {
				fields = make(http.Header)
			}
			fields.Add(string(name), string(f.Value.Of(n.text)))
		}
	}
	c, malformed := p.Believe(n.channel().Peer(), n.channel().scheme(), fields)
	if c.malformed = malformed; c != noClient {
		n.client = new(Client)
		*n.client = c
	}
	if fields == nil || malformed != "" {
		return
	}
	seen := make(map[string]bool)
	left := n.head.Fields[:0]
	for _, f := range n.head.Fields {
		if name := f.Name.Of(n.text); p.Names(name) {
			key := http.CanonicalHeaderKey(string(name))
			values := fields[key]
			if len(values) == 0 || len(values) == 1 && seen[key] {
				continue
			}
			if seen[key] = true; len(values) == 1 {
				f.Value = n.rewrite(f.Value, values[0])
			}
		}
		left = append(left, f)
	}
	n.head.Fields = left
}

// rewrite returns where value is in text, which it is put behind if it is not what was there.
func (n *native) rewrite(was httpparse.Span, value string) httpparse.Span {
	if string(was.Of(n.text)) == value {
		return was
	}
	n.keepText()
	start := uint32(len(n.store))
	n.store = append(n.store, value...)
	n.text = n.store
	return httpparse.Span{Start: start, End: uint32(len(n.store))}
}

// refuseClient answers a request whose client is not told sensibly. The proxy's connection stays.
func (n *native) refuseClient(t Task) {
	t.AddHeader("X-Content-Type-Options", "nosniff")
	t.AnswerString(http.StatusBadRequest, ContentTypeText, fmt.Sprintf("400 Bad Request: header %q malformed\n", n.told().malformed))
}

// scheme returns the scheme of the connection.
func (ch *channel) scheme() string {
	if state := ch.listener.TLS; state != nil && state(ch.FD()) != nil {
		return "https"
	}
	return "http"
}

// Scheme returns the scheme of the URL that the client asked for, "http" or "https": as a trusted proxy or Server.URLScheme tells
// it, and else that of the connection.
func (t Task) Scheme() string {
	n := t.use()
	if scheme := n.told().Scheme; scheme != "" {
		return scheme
	}
	return n.channel().scheme()
}

// Port returns the port of the URL that the client asked for, in digits: as a trusted proxy tells it, and else that of Host, or what
// is usual for Scheme.
func (t Task) Port() string {
	n := t.use()
	if port := n.told().Port; port != "" {
		return port
	}
	host := string(t.Host())
	if has, ok := httpparse.HostPort(host); ok && has {
		if port := host[strings.LastIndexByte(host, ':')+1:]; port != "" {
			return port
		}
	}
	if t.Scheme() == "https" {
		return "443"
	}
	return "80"
}

// Prefix returns Server.URLPrefix as URLs begin with it, "/app", or "". Path is without it.
func (t Task) Prefix() string { return t.use().channel().server().config.Prefix }
