package journal

import "syscall"

// free returns how many bytes a user may still write to the disk of a directory.
func free(path string) (uint64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil || s.Blocks == 0 {
		return 0, false // file systems without bounds say 0 blocks
	}
	return s.Bavail * uint64(s.Bsize), true
}
