// SPDX-License-Identifier: MIT

// Package proxy makes requests that come through reverse proxies look as if the client had sent them to this server itself.
//
// Handler believes the header fields in which a proxy tells of its client: those that the settings name, and only when the
// peer of the connection is a proxy that they name. From anybody else such fields are removed, since whoever sends them
// could be anybody. NewListener does the same for the PROXY protocol, by which proxies that do not speak HTTP tell of
// their client at the beginning of a connection.
//
// What is believed is checked first. A field that says nothing sensible is answered with 400: a request whose client is
// unknown must not pass for one of the proxy's own.
//
// The package does not follow chains of proxies by their addresses: how many proxies are the operator's own is a number
// (Config.TrustedProxyCount), and what they have appended to a list is its end.
package proxy
