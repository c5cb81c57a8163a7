// SPDX-License-Identifier: MIT

// Package waitress is an HTTP server that runs any net/http.Handler on event loops: a few loops own every socket, a
// request is handed to the application when it is complete, and the answer is taken off the application's hands at once
// and delivered at whatever speed the client can drink it. A connection that waits for its next request costs a record of
// a few hundred bytes, and no goroutine.
//
//	waitress.Serve(app)                                  // every IPv4 address, port 8080; Ctrl-C stops it
//
//	srv := &waitress.Server{Addr: ":8080", Handler: app} // the fields and methods of http.Server
//	srv.ListenAndServe()
//
// # The life of a request, and who runs where
//
//  1. A loop wakes with a batch of ready sockets and reads each into its one buffer (package reactor).
//  2. The head is parsed where it lies (httpparse); the channel, one connection's protocol state, makes an
//     *http.Request of it (http1).
//  3. dispatch runs the handler: on a task thread, or on the loop, always under PolicyInline, and under PolicyAdaptive where
//     those like it have been quick.
//  4. What the handler writes goes straight to the socket, from the goroutine that runs it. What the socket does not take,
//     the loop sends when it does.
//  5. The same goroutine goes on with the next request of a pipeline, if there is one, or else gives the channel back to
//     its loop.
//
// At any instant a channel belongs to its loop or to one task; reactor.Conn says how. ARCHITECTURE.md tells all this at
// length. The files poller_*, socket_*, listener_* and sys_* of this package are the only ones that know an operating
// system.
package waitress
