//go:build unix

package journal

import "syscall"

func errFull() error { return syscall.ENOSPC }
