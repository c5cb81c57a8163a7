// SPDX-License-Identifier: MIT

// Package compat holds tests and nothing else: programs and libraries written for net/http run unmodified on Waitress for
// Go, and answer as they do on net/http. It is a module of its own, so that what it takes to test never reaches a user.
//
// Each application is started on net/http and on this server under each policy, and asked the same things by the same
// client. What it answers is compared with what the test expects and, field by field, with what came from net/http.
package compat
