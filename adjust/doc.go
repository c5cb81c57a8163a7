// SPDX-License-Identifier: MIT

// Package adjust lets the person who runs a program adjust its waitress.Server: by a configuration file, the environment
// and the command line. All three have every field of the Server that can be written as text, by one list, which is made
// of the Server's fields and their comments:
//
//	field            Go        MaxHeaderBytes: 32 << 10
//	flag             shell     -max-header-bytes 32K
//	variable         shell     WAITRESS_MAX_HEADER_BYTES=32K
//	key              TOML      max_header_bytes = "32K"
//
// A flag is stronger than a variable, that than the file, and the file than what the program has set. A program's own
// flags are taken from all three places too.
//
//	srv := &waitress.Server{Handler: app}
//	flags := flag.NewFlagSet("app", flag.ExitOnError)
//	adjust.Parse(srv, flags, os.Args[1:])
//	err := srv.Run()
//
// How values are written:
//
//	number           1000; or 512K, 8M, 1G: powers of 1024
//	duration         90s, 1m30s, 200ms; none is no limit
//	yes or no        true, false; a flag may stand alone
//	list             values with commas or blanks between them; or a TOML array; or the flag several times
//	networks         10.0.0.0/8, 192.0.2.1; or *, which is everybody
//	permissions      660, as chmod has them
//	output           the name of a file, to which is appended; or - for standard output
//
// The file is TOML: it is for people, who need comments in it, and the one parser for it has no dependencies of its own.
//
// The package does not print what it has found, and does not watch the file.
package adjust

//go:generate go run ../internal/adjustgen
