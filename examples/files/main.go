// SPDX-License-Identifier: MIT

// Files serves the files of a folder: ranges and conditional requests, lists of folders without an index.html, and in place of a
// file what somebody has compressed before, "page.html.br" or "page.html.gz", for clients that take it. Everything in the
// folder is served, whatever its name, and nothing outside it, wherever its links lead.
//
//	go run ./examples/files -dir . -listen '*:8080' -idle-timeout 30s
//
// Every adjustment of the server is a flag, an environment variable and a key of the file that -config names: -help lists them.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/waitress-go/waitress"
	"github.com/waitress-go/waitress/adjust"
)

func main() {
	flags := flag.NewFlagSet("files", flag.ExitOnError)
	dir := flags.String("dir", ".", "the `FOLDER` to serve")
	s := new(waitress.Server)
	_ = adjust.Parse(s, flags, os.Args[1:]) // it ends the program instead of returning an error
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "files: unknown argument %q; the folder is told by -dir\n", flags.Arg(0))
		os.Exit(2)
	}

	folder, err := os.OpenRoot(*dir)
	if err != nil {
		log.Fatal(err)
	}
	s.Handler = newFiles(folder)
	if err := s.Run(); err != nil {
		log.Fatal(err)
	}
}
