// SPDX-License-Identifier: MIT

// Adjustgen writes what is made of the fields of waitress.Server and their comments: the table that package adjust has its
// help from, and docs/adjustments.md. "go generate ./adjust" runs it; its test fails when they are stale.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	files, err := generate("..")
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join("..", name), text, 0o644); err != nil {
			log.Fatal(err)
		}
		fmt.Println(name)
	}
}
