//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	_, _ = fmt.Fprintln(os.Stderr, "bench: needs Linux: it reads other processes' CPU clocks and the kernel's receive times")
	os.Exit(1)
}
