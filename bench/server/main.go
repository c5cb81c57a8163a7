// SPDX-License-Identifier: MIT

// Server is one process of one engine, for bench to measure, or for any other load generator: see -help for what it
// serves and the signal that has it tell its memory.
package main

import "github.com/waitress-go/waitress/bench/internal/app"

func main() { app.Main(engines) }
